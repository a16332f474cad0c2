// The object builder of a web service: shows the inputs that apply to what is chosen, and keeps the cursor where a step
// was taken. The expert view is folded as long as nothing in it is wrong; without scripts it alone is there.
export const restBuilder = (root) => {
  const form = root.closest("form");
  const steps = root.querySelector("[data-built]");
  const expert = root.querySelector("[data-expert]");
  steps.hidden = false;
  expert.open = Boolean(expert.querySelector(".is-invalid"));

  const by = root.querySelector("[name=b-by]");
  const refresh = () => {
    for (const part of root.querySelectorAll("[data-paging]")) part.hidden = !part.dataset.paging.split(" ").includes(by.value);
    for (const part of root.querySelectorAll("[data-switched]")) part.hidden = !form.elements[part.dataset.switched].checked;
    for (const part of root.querySelectorAll("[data-with]")) part.hidden = !form.elements[part.dataset.with].value;
  };
  if (by) {
    root.addEventListener("change", refresh);
    refresh();
  }

  // Enter would save the whole connection; in the builder it tries the call.
  root.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.target.tagName !== "INPUT") return;
    event.preventDefault();
    if (event.target.dataset.enter) root.querySelector(`button[value='${event.target.dataset.enter}']`)?.click();
  });
  root.querySelector("[data-focus]")?.focus();
};
