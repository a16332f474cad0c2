// Asks before a form is sent. Without scripts the form is sent at once, so the server's own checks still decide.
const dialog = (form, question) => {
  const box = document.createElement("dialog");
  box.className = "confirm-dialog";
  const text = document.createElement("p");
  text.textContent = question;
  const buttons = document.createElement("form");
  buttons.method = "dialog";
  buttons.className = "confirm-buttons";
  for (const [value, label, kind] of [["no", form.dataset.no, "secondary"], ["yes", form.dataset.yes, form.dataset.kind]]) {
    const button = document.createElement("button");
    button.value = value;
    button.textContent = label;
    button.className = `btn btn-${kind}`;
    buttons.append(button);
  }
  box.append(text, buttons);
  box.setAttribute("aria-label", question);
  document.body.append(box);
  return box;
};

// A button with a question of its own (data-question) asks that; other buttons of its form ask nothing.
export const confirm = (form) => {
  let agreed = false;
  form.addEventListener("submit", (event) => {
    const question = form.dataset.question || event.submitter?.dataset.question;
    if (agreed || !question) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const box = dialog(form, question);
    box.addEventListener("close", () => {
      box.remove();
      if (box.returnValue !== "yes") return;
      agreed = true;
      form.requestSubmit(event.submitter);
      agreed = false;
    });
    box.showModal();
  }, { capture: true });
};
