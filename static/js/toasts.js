// Short notices in the corner. Results find their reader here; errors stay until they are closed.

const STAY_MS = 6000;

const corner = document.querySelector("[data-toasts]");
const template = document.getElementById("toast");

/**
 * Show a notice and return it. `link` is an address with its words: {href, text}. With `buttons`, [{text, press}], it stays
 * until one is pressed.
 */
export function toast(text, { level = "info", link = null, buttons = [] } = {}) {
  const notice = template.content.firstElementChild.cloneNode(true);
  notice.dataset.level = level;
  notice.querySelector(".notice-text").textContent = text;
  if (link) {
    const anchor = notice.querySelector("a");
    anchor.href = link.href;
    anchor.textContent = link.text;
    anchor.hidden = false;
  }
  for (const { text: words, press } of buttons) {
    const button = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-small" });
    button.textContent = words;
    button.addEventListener("click", () => {
      notice.remove();
      press();
    });
    notice.querySelector(".notice-buttons").append(button);
  }
  notice.querySelector(".notice-buttons").hidden = !buttons.length;
  corner.append(notice);
  if (!buttons.length) leaveLater(notice);
  return notice;
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
