// The inputs for the values of a row: by the kind of its field, with the values that occur as proposals.
import { fill, make } from "./told.js";

let lists = 0;

const small = "form-control form-control-sm";

const input = (type, value, options, changed) => make("input", {
  class: small, type, value, required: true, "aria-label": options.label, placeholder: options.placeholder, inputmode: options.inputmode,
  step: options.step, list: options.list, autocomplete: "off", spellcheck: "false",
  oninput: (event) => changed(event.target.value), onchange: (event) => changed(event.target.value),
});

const proposals = (values) => {
  if (!values?.length) return null;
  lists += 1;
  return make("datalist", { id: `expression-values-${lists}` }, ...values.map((value) => make("option", { value })));
};

const seconds = (text) => (/T\d\d:\d\d$/.test(text) || /^\d\d:\d\d$/.test(text) ? `${text}:00` : text);

const moment = (kind, value, options, changed) => {
  const zone = kind === "datetime" ? "Z" : "";
  const shown = zone ? value.replace(/Z$/, "") : value;
  if (value && !/^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?$/.test(shown)) return input("text", value, options, changed);
  const made = input("datetime-local", shown, { ...options, step: "1" }, (text) => changed(text ? seconds(text) + zone : ""));
  if (!zone) return made;
  return make("span", { class: "condition-zone" }, made, make("abbr", { title: options.texts.utc }, "UTC"));
};

const choice = (value, options, changed) => make("select", { class: "form-select form-select-sm", "aria-label": options.label, onchange: (event) => changed(event.target.value) },
  ...["true", "false"].map((one) => make("option", { value: one, selected: one === value }, one === "true" ? options.texts.yes : options.texts.no)));

const single = (kind, field, value, options, changed) => {
  if (kind === "boolean") return choice(value, options, changed);
  if (kind === "date") return input("date", value, options, changed);
  if (kind === "datetime" || kind === "local_datetime") return moment(kind, value, options, changed);
  if (field?.type === "time") return input("time", value, { ...options, step: "1" }, (text) => changed(seconds(text)));
  const list = proposals(field?.values);
  const made = input("text", value, { ...options, list: list?.id, inputmode: kind === "number" ? "decimal" : undefined }, changed);
  return list ? make("span", { class: "condition-listed" }, made, list) : made;
};

// A list of values: each a chip; Enter, a comma or leaving the input adds what is typed.
const several = (row, kind, field, options, changed) => {
  const list = kind === "text" || kind === "number" ? proposals(field?.values) : null;
  const chips = make("span", { class: "condition-chips" });
  const typed = make("input", {
    class: "condition-chip-input", type: kind === "date" ? "date" : "text", list: list?.id, autocomplete: "off", spellcheck: "false",
    "aria-label": options.texts.add_value, placeholder: options.texts.add_value, inputmode: kind === "number" ? "decimal" : undefined,
  });
  const draw = () => {
    const made = row.values.map((value, number) => make("span", { class: "chip" }, value.text || options.texts.empty_text, make("button", {
      type: "button", class: "condition-chip-gone", "aria-label": fill(options.texts.remove_value, { value: value.text }),
      onclick: () => { row.values.splice(number, 1); draw(); changed(); typed.focus(); },
    }, "×")));
    chips.replaceChildren(...made, typed, ...(list ? [list] : []));
    typed.required = row.values.length === 0;
  };
  const add = (texts) => {
    const wanted = texts.map((text) => text.trim()).filter((text) => text && !row.values.some((value) => value.text === text));
    typed.value = "";
    if (!wanted.length) return;
    row.values.push(...wanted.map((text) => ({ kind, text })));
    const focused = document.activeElement === typed;
    draw();
    if (focused) typed.focus();
    changed();
  };
  const separator = kind === "number" ? /[\n;,\t ]/ : /[\n\t]/;
  typed.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Enter") { event.preventDefault(); add([typed.value]); }
    if (event.key === "Backspace" && !typed.value && row.values.length) { row.values.pop(); draw(); typed.focus(); changed(); }
  });
  typed.addEventListener("change", () => add([typed.value]));
  typed.addEventListener("blur", () => add([typed.value]));
  typed.addEventListener("paste", (event) => {
    const parts = event.clipboardData.getData("text").split(separator);
    if (parts.length > 1) { event.preventDefault(); add(parts); }
  });
  draw();
  return chips;
};

export const valueInputs = (row, count, kind, field, texts, changed) => {
  const options = { label: texts.value, texts };
  if (count === 0) return [];
  if (count === 9) return [several(row, kind, field, options, changed)];
  const set = (number) => (text) => { row.values[number] = { kind, text }; changed(); };
  while (row.values.length < count) row.values.push({ kind, text: kind === "boolean" ? "true" : "" });
  const inputs = row.values.slice(0, count).map((value, number) => single(value.text ? value.kind : kind, field, value.text, options, set(number)));
  return count === 2 ? [inputs[0], make("span", { class: "condition-and" }, texts.and), inputs[1]] : inputs;
};
