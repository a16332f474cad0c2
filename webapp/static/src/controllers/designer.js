const OWN = "[name^='fields-']";
const held = (input) => (input.type === "checkbox" ? input.checked : input.value);
const valuesOf = (root) => new Map([...root.querySelectorAll(OWN)].map((input) => [input.name, held(input)]));

// Where the field of a number stands after a step such as "up:3"; undefined where it is gone.
const movedTo = (deed, number, count) => {
  const [word, text] = deed.split(":");
  const at = Number(text);
  if (word === "remove") return number === at ? undefined : number - (number > at ? 1 : 0);
  if (word !== "up" && word !== "down") return number;
  const to = word === "up" ? Math.max(at - 1, 0) : Math.min(at + 1, count - 1);
  return number === at ? to : number === to ? at : number;
};
const renamed = (deed, name, count) => {
  const [, number, rest] = name.match(/^fields-(\d+)-(.*)$/);
  const to = movedTo(deed, Number(number), count);
  return to === undefined ? undefined : `fields-${to}-${rest}`;
};

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
  // What is typed while a step is on its way would be lost with the fields that come back: it is put into them.
  let sent = new Map();
  let typed = new Map();
  let writing;
  const step = (event) => event.detail.target?.id === "designer-fields";
  const fields = () => form.querySelector("#designer-fields");
  document.body.addEventListener("htmx:beforeRequest", (event) => {
    if (step(event)) sent = valuesOf(fields());
  });
  document.body.addEventListener("htmx:beforeSwap", (event) => {
    if (!step(event)) return;
    const deed = event.detail.requestConfig?.elt?.value ?? "";
    const now = [...valuesOf(fields())].filter(([name, value]) => sent.has(name) && sent.get(name) !== value);
    const moved = (name) => renamed(deed, name, fields().querySelectorAll("[data-field]").length);
    typed = new Map(now.map(([name, value]) => [moved(name), value]).filter(([name]) => name));
    const active = document.activeElement;
    writing = typed.size && active?.matches(OWN) ? { name: moved(active.name), at: active.selectionStart } : null;
  });
  const putBack = () => {
    for (const [name, value] of typed) {
      const input = form.elements[name];
      if (!input) continue;
      if (input.type === "checkbox") input.checked = value;
      else input.value = value;
      input.closest("[data-field]").open = true;
    }
    typed = new Map();
    const input = writing?.name && form.elements[writing.name];
    if (!input) return false;
    input.focus();
    if (writing.at !== null && input.setSelectionRange && input.type === "text") input.setSelectionRange(writing.at, writing.at);
    return true;
  };
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (event.target.id !== "designer-fields" && !event.target.querySelector?.("#designer-fields")) return;
    const wrote = putBack();
    fitAll();
    const opened = form.querySelector("[data-field][open]");
    if (!wrote) opened?.querySelector("input:not([type=hidden])")?.focus();
    document.body.dispatchEvent(new CustomEvent("designer-changed"));
  });
  fitAll();
};
