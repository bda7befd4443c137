// How long a question over a WebSocket takes until its answer is here, and whether one comes at all.

let probes = 0;

/** Milliseconds until a message that isAnswer(data) comes, or null when none did within the limit. */
export function roundTrip(socket, limit, ask, isAnswer = () => true) {
  if (socket?.readyState !== WebSocket.OPEN) return Promise.resolve(null);
  const asked = performance.now();
  return new Promise((resolve) => {
    const hear = ({ data }) => isAnswer(data) && done(performance.now() - asked);
    const giveUp = setTimeout(() => done(null), limit);
    const done = (took) => {
      clearTimeout(giveUp);
      socket.removeEventListener("message", hear);
      resolve(took);
    };
    socket.addEventListener("message", hear);
    ask();
  });
}

/** Ask the console proxy itself, where the machine has nothing to answer with: it sends a probe back as it came. */
export function probeProxy(socket, limit) {
  probes += 1;
  const probe = `probe ${probes}`; // consoles/proxy/frames.py: PROBE
  return roundTrip(
    socket,
    limit,
    () => socket.send(probe),
    (data) => data === probe,
  );
}
