// The editor of a decision table: its document is the form's hidden field, the grid shows and changes it.
import { columnHead, editColumn } from "./columns.js";
import { grid, heightFor, mark, rowTools } from "./grid.js";
import { kept, show } from "./state.js";

const text = (value) => (value === null || value === undefined ? "" : String(value));

export const decisionTable = (form) => {
  const document_ = JSON.parse(form.elements.namedItem("document").value);
  const words = JSON.parse(form.dataset.words);
  const hits = JSON.parse(form.dataset.hits || "[]");
  const area = form.querySelector("[data-table]");
  const dialog = window.document.getElementById(form.dataset.dialog);
  const readOnly = form.dataset.readOnly === "yes";
  let view = null;
  let problems = [];

  const inputs = () => document_.inputs;
  const outputs = () => document_.outputs;

  const rowOf = (row, number) => ({
    ...Object.fromEntries(inputs().map((_input, index) => [`i${index}`, text(row.when?.[index])])),
    ...Object.fromEntries(outputs().map((_output, index) => [`o${index}`, text(row.then?.[index])])),
    since: text(row.since), until: text(row.until), note: text(row.note), id: text(row.id), hits: hits[number] === undefined ? "" : String(hits[number]),
  });

  const rowFrom = (data) => {
    const row = { when: inputs().map((_input, index) => data[`i${index}`] || "-"), then: outputs().map((_output, index) => data[`o${index}`] ?? "") };
    for (const key of ["since", "until", "note", "id"]) if (data[key]) row[key] = data[key];
    return row;
  };

  const read = () => {
    if (view) document_.rows = view.data().map(rowFrom);
    return document_;
  };

  const settings = async (list, index, kind) => {
    const column = list[index];
    const chosen = await editColumn(dialog, {
      kind, name: column.name, label: column.label, type: column.type || "text", expression: column.expression,
      allowed: (column.allowed || []).join("\n"), default: column.default, removable: list.length > 1,
    });
    if (!chosen) return;
    read();
    const cells = kind === "input" ? "when" : "then";
    if (chosen.remove) {
      list.splice(index, 1);
      for (const row of document_.rows) row[cells].splice(index, 1);
    } else if (chosen.move) {
      const other = index + (chosen.move === "left" ? -1 : 1);
      if (!list[other]) return;
      [list[index], list[other]] = [list[other], list[index]];
      for (const row of document_.rows) [row[cells][index], row[cells][other]] = [row[cells][other], row[cells][index]];
    } else list[index] = columnFrom(chosen, kind);
    draw();
    changed();
  };

  const columnFrom = (chosen, kind) => {
    const column = { name: chosen.name.trim(), type: chosen.type };
    if (chosen.label.trim()) column.label = chosen.label.trim();
    const allowed = chosen.allowed.split("\n").map((line) => line.trim()).filter(Boolean);
    if (allowed.length) column.allowed = allowed;
    if (kind === "input" && chosen.expression.trim()) column.expression = chosen.expression.trim();
    if (kind === "output" && chosen.default.trim()) column.default = chosen.default.trim();
    return column;
  };

  const head = (list, index, kind) => {
    const column = list[index];
    const type = words.types[column.type || "text"];
    const note = column.expression ? `${type} · ${column.expression}` : type;
    return columnHead({ label: column.label || column.name, note, settings: words.settings, open: readOnly ? null : () => settings(list, index, kind) });
  };

  const plain = (label, note = "") => columnHead({ label, note });

  const columns = () => {
    const dated = form.elements.namedItem("dated")?.checked;
    return [
      ...inputs().map((column, index) => ({ key: `i${index}`, title: column.name, label: column.label || column.name, kind: "condition", head: head(inputs(), index, "input"), blank: "-", readOnly })),
      ...outputs().map((column, index) => ({ key: `o${index}`, title: column.name, label: column.label || column.name, kind: "result", head: head(outputs(), index, "output"), readOnly })),
      ...(dated ? [["since", words.since], ["until", words.until]].map(([key, label]) => ({ key, title: label, label, kind: "meta", head: plain(label, words.day), readOnly })) : []),
      { key: "note", title: words.note, label: words.note, kind: "meta", head: plain(words.note), width: 180, readOnly },
      ...(hits.length ? [{ key: "hits", title: words.hits, label: words.hits, kind: "meta", head: plain(words.hits), readOnly: true }] : []),
    ];
  };

  const draw = () => {
    view?.table.destroy();
    const rows = (document_.rows || []).map(rowOf);
    view = grid(area, { columns: columns(), rows, changed: () => changed(), height: heightFor(rows.length) });
    Object.assign(tools, view);
    for (const moment of ["tableBuilt", "scrollVertical"]) view.table.on(moment, () => mark(view, area, problems));
  };

  const shown = (answer) => {
    problems = answer.cells;
    mark(view, area, problems);
    show(form.querySelector("[data-findings]"), answer.html);
  };

  const { changed, check } = kept(form, read, shown);
  const tools = {};

  form.addEventListener("change", (event) => {
    const name = event.target.name;
    if (name === "dated") { read(); draw(); return; }
    if (!["hit_policy", "aggregation", "label", "description", "timezone"].includes(name)) return;
    if (event.target.value) document_[name] = event.target.value;
    else delete document_[name];
    if (document_.hit_policy !== "collect") delete document_.aggregation;
    const only = form.querySelector("[data-collect]");
    if (only) only.hidden = document_.hit_policy !== "collect";
    changed();
  });
  form.addEventListener("click", async (event) => {
    const add = event.target.closest("[data-add]");
    const jump = event.target.closest("[data-row]");
    if (jump) {
      event.preventDefault();
      const row = view.table.getRows()[Number(jump.dataset.row)];
      if (row) { await row.scrollTo(); view.table.getRanges()[0]?.setBounds(row.getCells()[1]); }
    }
    if (!add) return;
    const kind = add.dataset.add;
    const chosen = await editColumn(dialog, { kind, name: "", label: "", type: "text", removable: false });
    if (!chosen || chosen.remove || chosen.move || !chosen.name.trim()) return;
    read();
    (kind === "input" ? inputs() : outputs()).push(columnFrom(chosen, kind));
    for (const row of document_.rows) (kind === "input" ? row.when : row.then).push(kind === "input" ? "-" : "");
    draw();
    changed();
  });
  rowTools(form, tools);
  form.addEventListener("grid-changed", () => changed());
  draw();
  check();
};
