// Sets light or dark before anything is painted. Classic script, loaded in <head>.
// Tabler reads data-bs-theme, Django's admin data-theme.
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const wanted = localStorage.getItem("theme");
    const theme = wanted === "dark" || wanted === "light" ? wanted : dark.matches ? "dark" : "light";
    document.documentElement.dataset.bsTheme = theme;
    document.documentElement.dataset.theme = theme;
  };
  apply();
  dark.addEventListener("change", apply);
  window.addEventListener("storage", apply);
  document.addEventListener("click", (event) => {
    if (!(event.target instanceof Element) || !event.target.closest("[data-theme-toggle]")) return;
    const next = document.documentElement.dataset.bsTheme === "dark" ? "light" : "dark";
    localStorage.setItem("theme", next);
    apply();
  });
})();
