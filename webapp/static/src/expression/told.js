// What is told about a function, a word or a field: beside the completion, when hovering, and while typing arguments.
import { hoverTooltip } from "@codemirror/view";

export const make = (tag, properties = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
};

export const fill = (text, values) => (text || "").replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);

// A signature with its first parameter in front where it is written so; the parameter being typed is bold.
export const signature = (fn, one, current = -1) => {
  const shown = one.parameters.map((parameter, number) => {
    const text = `${parameter.name}: ${parameter.type}`;
    return number === current ? make("b", {}, text) : text;
  });
  const receiver = fn.member && shown.length ? shown.shift() : null;
  const inside = shown.flatMap((part, number) => (number ? [", ", part] : [part]));
  return make("p", { class: "told-head" }, receiver ? "(" : "", receiver || "", receiver ? ")." : "", `${fn.name}(`, ...inside, `) → ${one.result}`);
};

export const aboutFunction = (fn) => make("div", { class: "told" },
  ...fn.signatures.map((one) => signature(fn, one)),
  make("p", {}, fn.doc),
  fn.example && make("p", { class: "told-more" }, make("code", {}, fn.example), " → ", make("code", {}, fn.result)));

export const aboutWord = (word) => make("div", { class: "told" }, make("p", { class: "told-head" }, word.name), make("p", {}, word.doc));

export const aboutField = (field, texts) => make("div", { class: "told" },
  make("p", { class: "told-head" }, field.text),
  make("p", {}, [field.label, field.type_name, field.nullable ? texts.may_be_empty : texts.never_empty].filter(Boolean).join(" · ")),
  field.sample !== null && make("p", { class: "told-more" }, fill(texts.for_example, { value: field.sample })));

const around = (text, position) => {
  const before = text.slice(0, position).match(/[\p{L}\p{N}_]*$/u)[0];
  const after = text.slice(position).match(/^[\p{L}\p{N}_]*/u)[0];
  return { name: before + after, from: position - before.length, to: position + after.length };
};

export const hover = (words) => hoverTooltip((view, position) => {
  const text = view.state.doc.toString();
  const { name, from, to } = around(text, position);
  if (!name) return null;
  const called = /^\s*\(/.test(text.slice(to));
  const fn = called && words.functions.find((one) => one.name === name);
  const word = !fn && words.words.find((one) => one.name === name && (called || !one.snippet));
  const field = !called && words.fields.find((one) => one.name === name);
  if (!fn && !word && !field) return null;
  const dom = () => (fn ? aboutFunction(fn) : field ? aboutField(field, words.texts) : aboutWord(word));
  return { pos: from, end: to, above: true, create: () => ({ dom: dom() }) };
}, { hoverTime: 350 });
