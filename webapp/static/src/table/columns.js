// The dialog in which a column of a table gets its name, type and rules. Resolves with what was chosen, or null.
export const editColumn = (dialog, values) =>
  new Promise((resolve) => {
    const form = dialog.querySelector("form");
    for (const part of dialog.querySelectorAll("[data-only]")) part.hidden = !part.dataset.only.split(" ").includes(values.kind);
    for (const field of form.elements) if (field.name) field.value = values[field.name] ?? "";
    dialog.querySelector("[data-remove]").hidden = !values.removable;
    dialog.querySelector("[data-remove-sibling]").hidden = !values.name || values.kind === "key";
    const close = () => {
      dialog.removeEventListener("close", close);
      if (dialog.returnValue === "keep") resolve(Object.fromEntries(new FormData(form)));
      else resolve(dialog.returnValue === "remove" ? { remove: true } : dialog.returnValue === "left" || dialog.returnValue === "right" ? { move: dialog.returnValue } : null);
    };
    dialog.returnValue = "";
    dialog.addEventListener("close", close);
    dialog.showModal();
  });

// The head of a column: what it is called, its type, and a button for its settings.
export const columnHead = ({ label, note, settings, open }) => {
  const head = document.createElement("div");
  head.className = "grid-head";
  const texts = document.createElement("div");
  const title = document.createElement("div");
  title.className = "grid-head-title";
  title.textContent = label;
  const below = document.createElement("div");
  below.className = "grid-head-note";
  below.textContent = note;
  texts.append(title, below);
  head.append(texts);
  if (open) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "btn btn-ghost btn-icon btn-sm";
    button.setAttribute("aria-label", settings);
    button.title = settings;
    button.textContent = "⋯";
    button.addEventListener("mousedown", (event) => event.stopPropagation());
    button.addEventListener("click", (event) => {
      event.stopPropagation();
      open();
    });
    head.append(button);
  }
  return head;
};
