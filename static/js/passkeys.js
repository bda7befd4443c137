// Passkeys: a form with data-passkey makes one ("make"), answers with one ("answer"), or logs in with one ("login").
// The browser's answer goes into the form's field `credential`. Where a browser has no passkeys, nothing is offered.

const hasName = !/^[\d.]+$|:/.test(location.hostname); // a passkey holds for a name, never for an address
const possible =
  window.isSecureContext &&
  hasName &&
  typeof window.PublicKeyCredential?.parseCreationOptionsFromJSON === "function" &&
  typeof window.PublicKeyCredential?.parseRequestOptionsFromJSON === "function";

async function optionsFor(form) {
  if (form.dataset.passkey !== "login") return JSON.parse(document.getElementById("passkey-options").textContent);
  const response = await fetch(form.action, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`the portal answered ${response.status}`);
  return response.json();
}

function make({ publicKey }) {
  const wishes = { residentKey: "required", requireResidentKey: true, userVerification: "required" };
  const options = PublicKeyCredential.parseCreationOptionsFromJSON(publicKey);
  options.authenticatorSelection = { ...options.authenticatorSelection, ...wishes };
  return navigator.credentials.create({ publicKey: options });
}

function answer({ publicKey }) {
  const options = PublicKeyCredential.parseRequestOptionsFromJSON(publicKey);
  return navigator.credentials.get({ publicKey: options });
}

async function start(form) {
  const problem = form.querySelector("[data-passkey-problem]");
  problem.hidden = true;
  try {
    const { creation_options, request_options } = await optionsFor(form);
    const credential = creation_options ? await make(creation_options) : await answer(request_options);
    form.elements.credential.value = JSON.stringify(credential.toJSON());
  } catch {
    problem.textContent = problem.dataset.passkeyProblem;
    problem.hidden = false;
    return;
  }
  form.submit();
}

if (possible) {
  for (const form of document.querySelectorAll("form[data-passkey]")) {
    const button = form.querySelector("[data-passkey-start]");
    button.addEventListener("click", () => start(form));
    button.disabled = false;
    form.hidden = false;
    for (const note of form.querySelectorAll("[data-passkey-missing]")) note.hidden = true;
  }
}
