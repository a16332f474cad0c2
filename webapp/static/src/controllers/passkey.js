// Asks the browser for a passkey before a form is sent: a new one (data-kind="create") or an answer of one ("get").
// What to ask for is fetched from data-begin; the answer goes into the hidden field.
const ask = async (form) => {
  const answer = await fetch(form.dataset.begin, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } });
  if (answer.status === 401 && form.dataset.proof) {
    const name = new FormData(form).get("name") || "";
    location.assign(form.dataset.proof + encodeURIComponent(`?name=${encodeURIComponent(name)}`));
    return null;
  }
  if (!answer.ok) throw new Error(answer.status === 409 ? await answer.text() : "refused");
  const asked = await answer.json();
  return form.dataset.kind === "create"
    ? navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(asked) })
    : navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(asked) });
};

const show = (form, what) => {
  const box = form.querySelector("[data-problem]");
  const said = form.querySelector(`template[data-said="${CSS.escape(what)}"]`);
  box.textContent = said ? said.content.textContent : what;
  box.hidden = false;
};

const KNOWN = { InvalidStateError: "known", NotSupportedError: "unable", SecurityError: "unable" };

export const passkey = (form) => {
  const able = window.PublicKeyCredential?.parseRequestOptionsFromJSON;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (!able) return show(form, "unable");
    const field = form.elements[form.dataset.answer || "answer"];
    try {
      const found = await ask(form);
      if (!found) return undefined;
      field.value = JSON.stringify(found);
    } catch (error) {
      return show(form, KNOWN[error.name] || (error.name === "Error" ? error.message : "refused"));
    }
    return form.submit();
  });
};
