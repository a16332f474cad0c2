// A connection's form: shows the settings that apply to what is chosen, and proposes a name from the label.
const slug = (text) => text.toLowerCase().normalize("NFD").replace(/[^a-z0-9_-]+/g, "-").replace(/^[^a-z]+|-+$/g, "").slice(0, 50);

const valueOf = (input) => {
  if (!input) return "";
  return input.type === "checkbox" ? String(input.checked) : input.value;
};

export const settings = (form) => {
  const dependents = [...form.querySelectorAll("[data-when]")].map((part) => ({ part, when: JSON.parse(part.dataset.when) }));

  const applies = ({ when }) => {
    const input = form.elements[when.field];
    return Boolean(input) && !input.closest("[hidden]") && when.values.includes(valueOf(input));
  };

  const refresh = () => {
    // once per dependent, because what depends on a hidden setting is hidden, too
    for (let turn = 0; turn < dependents.length; turn += 1) {
      for (const dependent of dependents) dependent.part.hidden = !applies(dependent);
    }
  };

  const propose = () => {
    const { label, name } = form.elements;
    if (!name || name.type === "hidden") return;
    const first = name.value;
    let own = false;
    name.addEventListener("input", () => { own = true; });
    label.addEventListener("input", () => { if (!own) name.value = slug(label.value) || first; });
  };

  form.addEventListener("change", refresh);
  refresh();
  propose();
};
