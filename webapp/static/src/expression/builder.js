// Conditions as rows "field - relation - value" in groups. The server writes them as an expression and reads them again.
import { expressionEditor } from "./editor.js";
import { valueInputs } from "./row_values.js";
import { make } from "./told.js";

const WAIT = 200;
const CODE = "\u0000code";
const ordered = new Set(["greater", "at_least", "less", "at_most", "between"]);
const asText = new Set(["contains", "not_contains", "starts", "not_starts", "ends", "not_ends", "matches", "not_matches"]);

const isGroup = (member) => "members" in member;
const isCode = (member) => "code" in member;
const newRow = () => ({ field: "", relation: "is", values: [], guarded: false, draft: true });
const newGroup = (join = "all") => ({ join, negated: false, members: [] });

// A row that somebody has not filled in yet is left out; its inputs are required, so the form is not sent without it.
const waits = (member) => {
  if (!member.draft) return false;
  if (isCode(member)) return !member.code.trim();
  return !member.field || (member.count > 0 && (member.values.length === 0 || member.values.some((value) => value.text === "")));
};

const ready = (group, path = [], origins = new Map()) => {
  const members = [];
  for (const member of group.members) {
    if (isGroup(member) ? ready(member).model.members.length === 0 : waits(member)) continue;
    const here = [...path, members.length];
    origins.set(here.join("."), member);
    members.push(isGroup(member) ? ready(member, here, origins).model : { ...member, draft: undefined, count: undefined });
  }
  return { model: { join: group.join, negated: group.negated, members }, origins };
};

export const conditionBuilder = ({ holder, words, asked, written }) => {
  const { texts } = words;
  const elements = new Map();
  let model = newGroup();
  let timer = 0;
  let number = 0;

  const fieldOf = (name) => words.fields.find((field) => field.name === name);
  const choicesOf = (kind) => words.relations[kind] || words.relations[""];

  // A form cannot be sent while a row says something that cannot be written.
  const tell = (element, message) => {
    element?.append(make("div", { class: "field-error" }, message));
    (element?.querySelector(".condition-values input") || element?.querySelector("select"))?.setCustomValidity(message);
  };

  const forgive = () => { for (const input of holder.querySelectorAll("input, select")) input.setCustomValidity(""); };

  const write = async () => {
    clearTimeout(timer);
    timer = 0;
    number += 1;
    const mine = number;
    const { model: whole, origins } = ready(model);
    const answer = await asked.text(whole).catch(() => ({ wrong: { path: [], message: texts.no_answer } }));
    if (mine !== number || !holder.firstChild) return;
    for (const element of elements.values()) element.querySelector(":scope > .field-error")?.remove();
    forgive();
    if (answer.wrong) tell(elements.get(origins.get(answer.wrong.path.join(".")) || model), answer.wrong.message);
    else written(answer.text);
  };
  let writing = Promise.resolve();
  const changed = () => { forgive(); clearTimeout(timer); timer = setTimeout(() => { writing = write(); }, WAIT); };

  const removeButton = (owner, member, label) => make("button", {
    type: "button", class: "btn btn-ghost btn-icon condition-remove", "aria-label": label, title: label,
    onclick: () => {
      const at = owner.members.indexOf(member);
      owner.members.splice(at, 1);
      draw();
      const next = owner.members[Math.min(at, owner.members.length - 1)];
      (elements.get(next)?.querySelector("select, textarea") || elements.get(owner)?.querySelector("[data-add]"))?.focus();
      changed();
    },
  }, "×");

  const select = (options, value, label, change) => make("select", { class: "form-select form-select-sm", "aria-label": label, onchange: (event) => change(event.target.value) },
    ...options.map(([key, text]) => make("option", { value: key, selected: key === value }, text)));

  const chooseField = (owner, row, name) => {
    if (name === CODE) {
      owner.members.splice(owner.members.indexOf(row), 1, { code: "", draft: true });
      draw();
      return;
    }
    const before = fieldOf(row.field)?.kind;
    const field = fieldOf(name);
    Object.assign(row, { field: name, draft: true });
    if (field && field.kind !== before) Object.assign(row, { values: [], relation: choicesOf(field.kind)[0].name });
    row.guarded = Boolean(field?.nullable);
    draw();
    elements.get(row)?.querySelector("select")?.focus(); // stays: arrow keys choose one field after another
    changed();
  };

  const fieldSelect = (owner, row) => {
    const known = words.fields.map((field) => [field.name, field.label || field.name]);
    const lost = row.field && !fieldOf(row.field) ? [[row.field, texts.not_found.replace("{name}", row.field)]] : [];
    const open = row.field ? [] : [["", texts.choose_field]];
    const made = select([...open, ...lost, ...known, [CODE, texts.expression]], row.field, texts.field, (name) => chooseField(owner, row, name));
    made.required = true;
    return made;
  };

  const relationSelect = (row, kind) => {
    const offered = choicesOf(kind).map((one) => [one.name, one.label]);
    const known = offered.some(([name]) => name === row.relation);
    const other = Object.values(words.relations).flat().find((one) => one.name === row.relation);
    return select(known ? offered : [...offered, [row.relation, other?.label || row.relation]], row.relation, texts.relation, (relation) => {
      const counts = Object.fromEntries(choicesOf(kind).map((one) => [one.name, one.values]));
      row.values = counts[relation] === 9 ? row.values.filter((value) => value.text) : row.values.slice(0, counts[relation]);
      Object.assign(row, { relation, draft: true });
      draw();
      elements.get(row)?.querySelectorAll("select")[1]?.focus();
      changed();
    });
  };

  // What an empty field means: shown only where it makes a difference.
  const guard = (row, field, kind) => {
    const matters = ordered.has(row.relation) || asText.has(row.relation) || (row.relation === "is" && kind === "boolean");
    if (!matters || (field && !field.nullable && !row.guarded)) return null;
    const no = asText.has(row.relation) ? texts.empty_as_text : texts.empty_no;
    const made = select([["yes", no], ["", texts.empty_error]], row.guarded ? "yes" : "", texts.if_empty, (value) => { row.guarded = value === "yes"; changed(); });
    made.classList.add("condition-guard");
    made.title = texts.if_empty;
    return made;
  };

  const drawRow = (owner, row) => {
    const field = fieldOf(row.field);
    const kind = field ? field.kind : row.values[0]?.kind || "text";
    const count = Object.values(words.relations).flat().find((one) => one.name === row.relation)?.values ?? 1;
    row.count = count;
    const values = row.field ? valueInputs(row, count, kind, field, texts, () => { row.draft = true; changed(); }) : [];
    const parts = make("div", { class: "condition-parts" }, fieldSelect(owner, row), row.field && relationSelect(row, kind),
      values.length > 0 && make("span", { class: "condition-values" }, ...values), row.field && guard(row, field, kind));
    return make("div", { class: "condition-row" }, parts, removeButton(owner, row, texts.remove_row));
  };

  const drawCode = (owner, member) => {
    const area = make("textarea", { class: "form-control expression-input", rows: 1, "aria-label": texts.expression_part, placeholder: texts.expression_example });
    area.value = member.code;
    const row = make("div", { class: "condition-row is-code" }, make("div", { class: "condition-parts" }, area), removeButton(owner, member, texts.remove_row));
    const editor = expressionEditor(area, words, (text) => { Object.assign(member, { code: text, draft: true }); changed(); });
    if (member.draft && !member.code) requestAnimationFrame(() => editor.focus());
    return row;
  };

  const kinds = () => [["all", texts.all], ["any", texts.any], ["none", texts.none], ["not_all", texts.not_all]];
  const kindOf = (group) => (group.negated ? (group.join === "any" ? "none" : "not_all") : group.join);
  const setKind = (group, kind) => {
    group.join = { all: "all", any: "any", none: "any", not_all: "all" }[kind];
    group.negated = kind === "none" || kind === "not_all";
    changed();
  };

  const add = (group, member) => {
    group.members.push(member);
    draw();
    const last = elements.get(isGroup(member) ? member.members[0] : member);
    last?.querySelector("select")?.focus();
  };

  const addButton = (label, action) => make("button", { type: "button", class: "btn btn-ghost btn-sm", "data-add": "true", onclick: action }, `+ ${label}`);

  const drawGroup = (owner, group) => {
    const members = group.members.map((member) => drawMember(group, member));
    const several = group.members.length > 1 || group.negated || owner;
    const head = several && make("div", { class: "condition-head" },
      select(kinds(), kindOf(group), texts.group, (kind) => setKind(group, kind)),
      owner && removeButton(owner, group, texts.remove_group));
    const foot = make("div", { class: "condition-foot" },
      addButton(texts.add_row, () => add(group, newRow())),
      addButton(texts.add_group, () => add(group, { ...newGroup(group.join === "all" ? "any" : "all"), members: [newRow()] })),
      addButton(texts.add_expression, () => add(group, { code: "", draft: true })));
    const none = members.length === 0 && make("p", { class: "condition-none" }, texts.no_rows);
    return make("div", { class: owner ? "condition-group" : "condition-group is-root", role: "group", "aria-label": texts.group }, head, none, ...members, foot);
  };

  const drawMember = (owner, member) => {
    const made = isGroup(member) ? drawGroup(owner, member) : isCode(member) ? drawCode(owner, member) : drawRow(owner, member);
    elements.set(member, made);
    return made;
  };

  const draw = () => {
    elements.clear();
    holder.replaceChildren(drawMember(null, model));
  };

  holder.addEventListener("keydown", (event) => { if (event.key === "Enter" && event.target.tagName === "INPUT") event.preventDefault(); });

  return {
    open(found) { model = found; draw(); },
    pending: () => timer !== 0,
    settled() { if (timer !== 0) writing = write(); return writing; },
    close() { clearTimeout(timer); timer = 0; elements.clear(); holder.replaceChildren(); },
    focus() { holder.querySelector("select, [data-add]")?.focus(); },
  };
};
