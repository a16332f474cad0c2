// Behaviours of cases: choosing all values of one side, telling how many are chosen, ticking cases in the list.

export const decide = (form) => {
  const progress = form.querySelector("[data-progress]");
  const fields = [...form.querySelectorAll("[data-field]")];
  const show = () => {
    if (!progress) return;
    const done = fields.filter((field) => field.querySelector("input[type=radio]:checked")).length;
    progress.textContent = progress.dataset.text.replace("{done}", done).replace("{all}", fields.length);
  };
  for (const button of form.querySelectorAll("[data-take]")) {
    button.addEventListener("click", (event) => {
      event.preventDefault();
      for (const field of fields) field.querySelector(`input[value="${button.dataset.take}"]`).checked = true;
      show();
    });
  }
  // Who writes a value means it.
  form.addEventListener("input", (event) => {
    const own = event.target.closest(".decide-entry")?.parentElement;
    if (own) own.querySelector("input[type=radio]").checked = true;
    show();
  });
  form.addEventListener("change", (event) => {
    if (event.target.value === "value" && event.target.type === "radio")
      event.target.closest(".decide-own").querySelector(".decide-entry").firstElementChild.focus();
    show();
  });
  show();
};

export const caseTicks = (form) => {
  const bar = form.querySelector("[data-bulk-bar]");
  if (!bar) return;
  const count = bar.querySelector("[data-bulk-count]");
  const all = bar.querySelector("input[name=all]");
  const boxes = `input[name=${bar.dataset.boxes || "case"}]:checked`;
  const show = () => {
    const ticked = form.querySelectorAll(boxes).length;
    bar.hidden = ticked === 0;
    if (bar.hidden && all) all.checked = false;
    count.textContent = count.dataset.text.replace("{count}", ticked);
  };
  form.addEventListener("change", show);
  show();
};
