// A list of a form that the server renders anew after each step (add, move, remove). What is typed while a step is on
// its way would be lost with the list that comes back: it is put into that one.
//   list  id of the list     item  selector of its items     prefix  what the names of its inputs begin with
//   check  the element whose requests ask about the form: an answer that is on its way tells of the list before
const held = (input) => {
  if (input.type === "checkbox") return input.checked;
  return input.multiple ? JSON.stringify([...input.selectedOptions].map((option) => option.value)) : input.value;
};
const hold = (input, value) => {
  if (input.type === "checkbox") input.checked = value;
  else if (input.multiple) for (const option of input.options) option.selected = JSON.parse(value).includes(option.value);
  else input.value = value;
};

// Where the item of a number stands after a step such as "up:3"; undefined where it is gone.
const movedTo = (deed, number, count) => {
  const [, word, text] = deed.match(/^(?:v-)?(\w+):(.*)$/) ?? [];
  const at = Number(text);
  if (word === "remove") return number === at ? undefined : number - (number > at ? 1 : 0);
  if (word !== "up" && word !== "down") return number;
  const to = word === "up" ? Math.max(at - 1, 0) : Math.min(at + 1, count - 1);
  return number === at ? to : number === to ? at : number;
};

// `settled(wrote)` is called with the new list in place: whether the cursor is in what was typed.
export const keepTyped = (form, { list, item, prefix, check = form }, settled = () => {}) => {
  const own = `[name^='${prefix}-']`;
  const root = () => form.querySelector(`#${list}`);
  const valuesOf = () => new Map([...root().querySelectorAll(own)].map((input) => [input.name, held(input)]));
  const mine = (event) => event.detail.target?.id === list;
  let sent = null; // what the list held when the step that is on its way was taken
  let next = []; // what is to be added behind it
  let typed = new Map();
  let writing = null;

  form.addEventListener("htmx:beforeRequest", (event) => {
    if (!mine(event)) return;
    if (sent === null) {
      sent = valuesOf();
      return;
    }
    event.preventDefault(); // its answer would not know of the step before
    if (event.detail.elt.value?.includes("add:")) next.push(event.detail.elt.value);
  });
  form.addEventListener("htmx:afterRequest", (event) => {
    if (mine(event) && !event.detail.successful) sent = null;
  });
  form.addEventListener("htmx:beforeSwap", (event) => {
    if (!mine(event) || sent === null) return;
    const deed = event.detail.requestConfig?.elt?.value ?? "";
    const count = root().querySelectorAll(item).length;
    const moved = (name) => {
      const [, number, rest] = name.match(/-(\d+)-(.*)$/);
      const to = movedTo(deed, Number(number), count);
      return to === undefined ? undefined : `${prefix}-${to}-${rest}`;
    };
    const now = [...valuesOf()].filter(([name, value]) => sent.has(name) && sent.get(name) !== value);
    typed = new Map(now.map(([name, value]) => [moved(name), value]).filter(([name]) => name));
    const active = document.activeElement;
    writing = typed.size && active?.matches(own) ? { name: moved(active.name), at: active.selectionStart } : null;
  });
  const putBack = () => {
    for (const [name, value] of typed) {
      const input = form.elements[name];
      if (!input) continue;
      hold(input, value);
      input.closest(item).open = true;
    }
    typed = new Map();
    const input = writing?.name && form.elements[writing.name];
    if (!input) return false;
    input.focus();
    if (writing.at !== null && input.setSelectionRange && input.type === "text") input.setSelectionRange(writing.at, writing.at);
    return true;
  };
  document.body.addEventListener("htmx:afterSwap", (event) => {
    if (sent === null || !form.isConnected || (event.target.id !== list && !event.target.querySelector?.(`#${list}`))) return;
    sent = null;
    check.dispatchEvent(new Event("htmx:abort"));
    settled(putBack());
  });
  // Only now the new buttons do what they are for.
  document.body.addEventListener("htmx:afterSettle", (event) => {
    if (event.target.id !== list || sent !== null || !next.length) return;
    root().querySelector(`button[value='${next.shift()}']`)?.click();
  });
};
