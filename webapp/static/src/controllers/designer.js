// Shows of each field what its type knows, keeps open what was open, and follows labels in the field's heading.
export const designer = (form) => {
  const fit = (field) => {
    const kind = field.querySelector("[data-kind]").value;
    for (const part of field.querySelectorAll("[data-kinds]")) part.hidden = !part.dataset.kinds.split(" ").includes(kind);
  };
  const fitAll = () => form.querySelectorAll("[data-field]").forEach(fit);
  form.addEventListener("change", (event) => {
    if (event.target.matches("[data-kind]")) fit(event.target.closest("[data-field]"));
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches("input")) event.preventDefault();
  });
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.id !== "designer-fields" && !event.target.querySelector?.("#designer-fields")) return;
    fitAll();
    const opened = form.querySelector("[data-field][open]");
    opened?.querySelector("input:not([type=hidden])")?.focus();
    document.body.dispatchEvent(new CustomEvent("designer-changed"));
  });
  fitAll();
};
