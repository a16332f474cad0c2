import { keepTyped, numberBehind } from "./list_steps.js";

// Validations of a rule: what is typed while one is added, moved or removed stays.
const validations = { list: "validation-list", item: "[data-validation]", names: numberBehind("validations") };
export const validationList = (form) => keepTyped(form, validations);

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
  const check = form.querySelector("#designer-preview");
  keepTyped(form, { list: "designer-fields", item: "[data-field]", names: numberBehind("fields"), check }, (wrote) => {
    fitAll();
    if (!wrote) form.querySelector("[data-field][open]")?.querySelector("input:not([type=hidden])")?.focus();
    document.body.dispatchEvent(new CustomEvent("designer-changed"));
  });
  keepTyped(form, { ...validations, check });
  fitAll();
};
