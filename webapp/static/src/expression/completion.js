// What can be typed here: fields with their type and an example, functions, words, and values that a field has.
import { autocompletion, snippet } from "@codemirror/autocomplete";
import { aboutField, aboutFunction, aboutWord } from "./told.js";
import { fieldAt, quote, scan } from "./tokens.js";

const compared = new Set(["==", "!=", "<", "<=", ">", ">="]);
const wider = { integer: ["integer", "number", "decimal"], decimal: ["decimal", "number"], float: ["number"], date: ["date", "datetime"], time: ["text"] };

// Returns the field whose value is being written at the end of the tokens: status == …, status in ['a', …
const asked = (tokens, words) => {
  let last = tokens.length - 1;
  if (compared.has(tokens[last]?.text)) return find(words, fieldAt(tokens, last - 1));
  while (last >= 0 && (tokens[last].type === "string" || tokens[last].type === "number" || tokens[last].text === ",")) last -= 1;
  if (tokens[last]?.text !== "[" || tokens[last - 1]?.text !== "in") return null;
  return find(words, fieldAt(tokens, last - 2));
};

const find = (words, name) => (name === null ? null : words.fields.find((field) => field.name === name) || null);

const closing = (text) => (view, _option, from, to) => {
  const mark = view.state.sliceDoc(from - 1, from);
  const after = view.state.sliceDoc(to, to + 1) === mark ? 1 : 0;
  const inside = text.replace(/\\/g, "\\\\").replaceAll(mark, `\\${mark}`);
  view.dispatch({ changes: { from, to: to + after, insert: inside + mark }, selection: { anchor: from + inside.length + 1 }, userEvent: "input.complete" });
};

const inText = (tokens, words) => {
  const text = tokens.at(-1);
  const before = tokens.slice(0, -1);
  const table = before.at(-1)?.text === "(" && before.at(-2)?.text === "lookup";
  const values = table ? words.lookups : asked(before, words)?.values || [];
  if (!values.length) return null;
  return { from: text.start, options: values.map((value) => ({ label: value, type: "text", apply: closing(value) })), validFor: /^[^'"\\]*$/ };
};

const valueOptions = (field) => {
  if (!field) return [];
  const boost = (number) => 50 - number;
  const plain = (label, number = 0) => ({ label, type: "constant", boost: boost(number) });
  if (field.kind === "boolean") return [plain("true"), plain("false", 1), plain("null", 2)];
  const written = field.values.map((value, number) => plain(field.kind === "number" ? value : quote(value), number));
  const moments = { date: "date('${2024-01-31}')", datetime: "timestamp('${2024-01-31T00:00:00Z}')", local_datetime: "localTime('${2024-01-31T00:00:00}')" };
  const moment = moments[field.kind];
  if (moment) written.push({ label: moment.replace(/\$\{|\}/g, ""), type: "constant", boost: 50, apply: snippet(moment) });
  return [...written, plain("null", 40)];
};

const fieldOption = (field, texts) => ({
  label: field.name,
  detail: [field.label && field.label !== field.name ? field.label : "", field.type_name, field.sample ?? ""].filter(Boolean).join(" · "),
  type: "variable", boost: 10, apply: field.text, info: () => aboutField(field, texts),
});

const called = (fn, member) => {
  const needed = fn.signatures[0].parameters.slice(member ? 1 : 0);
  return needed.length ? snippet(`${fn.name}(${needed.map((one) => `\${${one.name}}`).join(", ")})`) : `${fn.name}()`;
};

const functionOption = (fn, member) => ({
  label: fn.name, detail: fn.doc, type: "function", apply: called(fn, member), info: () => aboutFunction(fn),
});

const wordOption = (word) => ({
  label: word.name, detail: word.doc, type: "keyword", info: () => aboutWord(word),
  apply: word.snippet ? snippet(word.snippet.replace(/^\./, "")) : word.name,
});

const members = (tokens, words) => {
  const owner = fieldAt(tokens, tokens.length - 1);
  if (tokens.at(-1)?.text === "record" && owner === "record") return words.fields.filter((field) => field.text === field.name).map((field) => fieldOption(field, words.texts));
  const type = find(words, owner)?.type;
  const parts = owner === null ? [] : words.fields.filter((field) => field.text === field.name && field.name.startsWith(`${owner}.`)).map((field) => {
    const rest = field.name.slice(owner.length + 1);
    return { ...fieldOption(field, words.texts), label: rest, apply: rest, boost: 60 };
  });
  const fits = (fn) => !type || fn.receives.some((kind) => kind === "any" || (wider[type] || [type]).includes(kind));
  const own = words.functions.filter((fn) => fn.member && fits(fn));
  const loops = type && type !== "json" ? [] : words.words.filter((word) => word.snippet.startsWith("."));
  return [...parts, ...own.map((fn) => functionOption(fn, true)), ...loops.map(wordOption)];
};

const start = (tokens, words) => [
  ...valueOptions(asked(tokens, words)),
  ...words.fields.map((field) => fieldOption(field, words.texts)),
  ...words.functions.filter((fn) => !fn.member).map((fn) => functionOption(fn, false)),
  ...words.words.filter((word) => !word.snippet.startsWith(".")).map(wordOption),
];

const source = (words) => (context) => {
  const tokens = scan(context.state.sliceDoc(0, context.pos));
  const last = tokens.at(-1);
  if (last?.type === "comment" && last.to === context.pos) return null;
  if (last?.type === "string" && !last.closed) return inText(tokens, words);
  const word = last?.type === "word" && last.to === context.pos ? tokens.pop() : null;
  const from = word ? word.from : context.pos;
  const validFor = /^[\p{L}\p{N}_]*$/u;
  if (tokens.at(-1)?.text === ".") return { from, options: members(tokens.slice(0, -1), words), validFor };
  const waiting = asked(tokens, words);
  if (!word && !context.explicit && !waiting) return null;
  if (!word && waiting && !context.explicit) return { from, options: valueOptions(waiting) };
  return { from, options: start(tokens, words), validFor };
};

export const completion = (words) => autocompletion({ override: [source(words)], icons: false, maxRenderedOptions: 60, closeOnBlur: true });
