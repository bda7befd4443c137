/* A guest's clipboard agent for tests, as small as can be: it offers what is in one file and keeps what it gets in another.
 *
 *     vdagent PORT OFFERED RECEIVED
 *
 * PORT is the virtio port "com.redhat.spice.0", whose other end is QEMU's qemu-vdagent or the SPICE server. Each message
 * (protocol, type, 8 bytes unused, length, body) travels in chunks (port, length). See spice/vd_agent.h for the numbers.
 * OFFERED is offered again whenever it changes. Built by tests/consoles/clipboard_agent.py.
 */

#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLIPBOARD = 4, ANNOUNCE = 6, GRAB = 7, REQUEST = 8 };
enum { CLIENT_PORT = 1, PROTOCOL = 1, UTF8 = 1, BY_DEMAND = 1 << 5, SELECTION = 1 << 6 };
enum { MOST = 1 << 20, CHUNK = 2048, LOOK_MS = 200 };

struct chunk { uint32_t port, size; } __attribute__((packed));
struct head { uint32_t protocol, type; uint64_t opaque; uint32_t size; } __attribute__((packed));

static int port;
static const char *offered, *received;

static void must(int right, const char *what) {
    if (right) return;
    perror(what);
    exit(1);
}

static void put(const void *bytes, size_t size) {
    while (size) {
        ssize_t done = write(port, bytes, size);
        must(done > 0, "write");
        bytes = (const char *)bytes + done;
        size -= done;
    }
}

static void say(uint32_t type, const uint32_t *numbers, size_t count, const void *bytes, size_t size) {
    static char message[MOST];
    struct head head = {PROTOCOL, type, 0, count * 4 + size};
    size_t all = sizeof head + head.size;
    must(all <= MOST, "too long");
    memcpy(message, &head, sizeof head);
    memcpy(message + sizeof head, numbers, count * 4);
    memcpy(message + sizeof head + count * 4, bytes, size);
    for (size_t at = 0; at < all; at += CHUNK) {
        struct chunk chunk = {CLIENT_PORT, all - at < CHUNK ? all - at : CHUNK};
        put(&chunk, sizeof chunk);
        put(message + at, chunk.size);
    }
}

static void announce(uint32_t request) {
    uint32_t body[] = {request, BY_DEMAND | SELECTION};
    say(ANNOUNCE, body, 2, "", 0);
}

static void about_text(uint32_t type, const void *bytes, size_t size) {
    uint32_t body[] = {0, UTF8}; /* the selection "clipboard" */
    say(type, body, 2, bytes, size);
}

static void give(void) {
    static char text[MOST / 2];
    int file = open(offered, O_RDONLY);
    ssize_t size = file < 0 ? 0 : read(file, text, sizeof text);
    close(file);
    about_text(CLIPBOARD, text, size < 0 ? 0 : size);
}

static void keep(const char *text, size_t size) {
    char other[256];
    snprintf(other, sizeof other, "%s.new", received);
    int file = open(other, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    must(file >= 0 && write(file, text, size) == (ssize_t)size && !close(file), other);
    must(!rename(other, received), received);
}

static void take(const struct head *head, const char *body) {
    uint32_t first = 0;
    if (head->size >= 4) memcpy(&first, body, 4);
    if (head->type == ANNOUNCE && first) announce(0);
    if (head->type == GRAB) about_text(REQUEST, "", 0);
    if (head->type == REQUEST) give();
    if (head->type == CLIPBOARD && head->size >= 8) keep(body + 8, head->size - 8);
}

/* Read a chunk; take the messages that are whole by now. */
static void hear(void) {
    static char bytes[MOST];
    static size_t have;
    struct chunk chunk;
    ssize_t got = read(port, &chunk, sizeof chunk);
    if (got == 0) { /* nobody at the other end */
        usleep(LOOK_MS * 1000);
        return;
    }
    must(got == sizeof chunk && have + chunk.size <= MOST, "chunk");
    for (size_t end = have + chunk.size; have < end; have += got) must((got = read(port, bytes + have, end - have)) > 0, "read");
    for (;;) {
        struct head head;
        if (have < sizeof head) return;
        memcpy(&head, bytes, sizeof head);
        size_t all = sizeof head + head.size;
        if (have < all) return;
        take(&head, bytes + sizeof head);
        memmove(bytes, bytes + all, have -= all);
    }
}

int main(int count, char **words) {
    struct timespec seen = {0, 0};
    must(count == 4, "vdagent PORT OFFERED RECEIVED");
    offered = words[2];
    received = words[3];
    must((port = open(words[1], O_RDWR)) >= 0, words[1]);
    announce(1);
    for (;;) {
        struct pollfd wait = {port, POLLIN, 0};
        struct stat now;
        if (poll(&wait, 1, LOOK_MS) > 0 && (wait.revents & POLLIN)) hear();
        else if (wait.revents & POLLHUP) usleep(LOOK_MS * 1000);
        if (!stat(offered, &now) && (now.st_mtim.tv_sec != seen.tv_sec || now.st_mtim.tv_nsec != seen.tv_nsec)) {
            seen = now.st_mtim;
            about_text(GRAB, "", 0);
        }
    }
}
