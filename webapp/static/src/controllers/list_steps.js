// A list of a form that the server renders anew after each step (add, move, remove). What is typed while a step is on
// its way would be lost with the list that comes back: it is put into that one.
//   list  id of the list     item  selector of its items
//   names  which inputs are the items': `parts` takes a name apart into [number, rest], `whole` puts it together
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
  const [, word, text] = deed.match(/^(?:v-)?([a-z]+)[:-](.*)$/) ?? [];
  const at = Number(text);
  if (word === "remove") return number === at ? undefined : number - (number > at ? 1 : 0);
  if (word !== "up" && word !== "down") return number;
  const to = word === "up" ? Math.max(at - 1, 0) : Math.min(at + 1, count - 1);
  return number === at ? to : number === to ? at : number;
};

// Names such as "fields-3-label", and names such as "left-3".
export const numberBehind = (prefix) => ({
  parts: (name) => name.match(new RegExp(`^${prefix}-(\\d+)-(.*)$`))?.slice(1),
  whole: (number, rest) => `${prefix}-${number}-${rest}`,
});
export const numberAtTheEnd = {
  parts: (name) => { const [, rest, number] = name.match(/^([a-z_]+)-(\d+)$/) ?? []; return rest && [number, rest]; },
  whole: (number, rest) => `${rest}-${number}`,
};

// `settled(wrote)` is called with the new list in place: whether the cursor is in what was typed.
export const keepTyped = (form, { list, item, names, check = form }, settled = () => {}) => {
  const root = () => form.querySelector(`#${list}`);
  const own = (input) => Boolean(names.parts(input?.name ?? ""));
  const valuesOf = () => new Map([...root().querySelectorAll("[name]")].filter(own).map((input) => [input.name, held(input)]));
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
    if (/(^|-)add(:|$)/.test(event.detail.elt.value ?? "")) next.push(event.detail.elt.value);
  });
  form.addEventListener("htmx:afterRequest", (event) => {
    if (mine(event) && !event.detail.successful) sent = null;
  });
  form.addEventListener("htmx:beforeSwap", (event) => {
    if (!mine(event) || sent === null) return;
    const deed = event.detail.requestConfig?.elt?.value ?? "";
    const count = root().querySelectorAll(item).length;
    const moved = (name) => {
      const [number, rest] = names.parts(name);
      const to = movedTo(deed, Number(number), count);
      return to === undefined ? undefined : names.whole(to, rest);
    };
    const now = [...valuesOf()].filter(([name, value]) => sent.has(name) && sent.get(name) !== value);
    typed = new Map(now.map(([name, value]) => [moved(name), value]).filter(([name]) => name));
    const active = document.activeElement;
    writing = typed.size && own(active) ? { name: moved(active.name), at: active.selectionStart } : null;
  });
  const putBack = () => {
    for (const [name, value] of typed) {
      const input = form.elements[name];
      if (!input) continue;
      hold(input, value);
      input.closest(item).open = true;
      const folded = input.closest("[id][hidden]");
      if (!folded) continue;
      folded.hidden = false;
      form.querySelector(`[aria-controls='${folded.id}']`)?.setAttribute("aria-expanded", "true");
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
