// The form by which one asks for a machine: what a chosen template has and allows stands in the fields of the size.

const form = document.querySelector("[data-new-request]");

function show() {
  const chosen = form.querySelector("[name=template]:checked");
  for (const field of form.querySelectorAll("[data-size]")) {
    const most = chosen?.getAttribute(`data-most-${field.name}`);
    field.dataset.most ??= field.max;
    field.max = most || field.dataset.most;
    field.placeholder = chosen?.getAttribute(`data-${field.name}`) ?? "";
    field.required = !field.placeholder;
  }
}

form?.addEventListener("change", show);
if (form) show();
