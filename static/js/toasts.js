// Short notices in the corner. Results find their reader here; errors stay until they are closed.

const STAY_MS = 6000;

const corner = document.querySelector("[data-toasts]");
const template = document.getElementById("toast");

/** Show a notice. `link` is an address with its words: {href, text}. */
export function toast(text, { level = "info", link = null } = {}) {
  const notice = template.content.firstElementChild.cloneNode(true);
  notice.dataset.level = level;
  notice.querySelector(".notice-text").textContent = text;
  if (link) {
    const anchor = notice.querySelector("a");
    anchor.href = link.href;
    anchor.textContent = link.text;
    anchor.hidden = false;
  }
  corner.append(notice);
  leaveLater(notice);
}

function leaveLater(notice) {
  if (notice.dataset.level === "error") return;
  const leave = () => (notice.matches(":hover, :focus-within") ? setTimeout(leave, 1000) : notice.remove());
  setTimeout(leave, STAY_MS);
}

document.addEventListener("click", (event) => {
  event.target.closest?.("[data-toast-close]")?.closest("[data-toast]").remove();
});
for (const notice of corner.children) leaveLater(notice);
