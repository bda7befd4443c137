// What proves to the portal that a request comes from its own page.

export const csrfToken = document.querySelector("meta[name=csrf-token]")?.content ?? "";
