// The editor of a lookup table: a key, its columns, and the entries in a grid.
import { columnHead, editColumn } from "./columns.js";
import { grid, heightFor, mark, rowTools } from "./grid.js";
import { kept, show } from "./state.js";

const text = (value) => (value === null || value === undefined ? "" : String(value));

export const lookupTable = (form) => {
  const document_ = JSON.parse(form.elements.namedItem("document").value);
  const words = JSON.parse(form.dataset.words);
  const area = form.querySelector("[data-table]");
  const dialog = window.document.getElementById(form.dataset.dialog);
  const readOnly = form.dataset.readOnly === "yes";
  let view = null;
  let problems = [];
  const tools = {};

  const all = () => [document_.key, ...document_.columns];
  const cellFrom = (column, value) => {
    if (value === "" || value === undefined) return column.type === undefined || column.type === "text" ? (value ?? null) : null;
    if (column.type === "integer" && /^-?\d{1,15}$/.test(value)) return Number(value);
    if (column.type === "boolean" && /^(true|false)$/.test(value)) return value === "true";
    return value;
  };
  const read = () => {
    if (view) {
      document_.entries = view.data()
        .filter((data) => all().some((_column, index) => data[`c${index}`]))
        .map((data) => all().map((column, index) => cellFrom(column, data[`c${index}`])));
    }
    return document_;
  };

  const settings = async (index) => {
    const column = all()[index];
    const chosen = await editColumn(dialog, { kind: index ? "value" : "key", name: column.name, type: column.type || "text", removable: index > 0 && document_.columns.length > 1 });
    if (!chosen) return;
    read();
    if (chosen.remove) {
      document_.columns.splice(index - 1, 1);
      for (const entry of document_.entries) entry.splice(index, 1);
    } else if (chosen.move) {
      const other = index + (chosen.move === "left" ? -1 : 1);
      if (index < 1 || other < 1 || !all()[other]) return;
      const columns = document_.columns;
      [columns[index - 1], columns[other - 1]] = [columns[other - 1], columns[index - 1]];
      for (const entry of document_.entries) [entry[index], entry[other]] = [entry[other], entry[index]];
    } else {
      const made = { name: chosen.name.trim(), type: chosen.type };
      if (index) document_.columns[index - 1] = made;
      else document_.key = made;
    }
    draw();
    changed();
  };

  const draw = () => {
    view?.table.destroy();
    const rows = (document_.entries || []).map((entry) => Object.fromEntries(all().map((_column, index) => [`c${index}`, text(entry[index])])));
    const columns = all().map((column, index) => ({
      key: `c${index}`, title: column.name, label: column.name, kind: index ? "result" : "condition", readOnly,
      head: columnHead({ label: column.name, note: index ? words.types[column.type || "text"] : `${words.key} · ${words.types[column.type || "text"]}`, settings: words.settings, open: readOnly ? null : () => settings(index) }),
    }));
    view = grid(area, { columns, rows, changed: () => changed(), height: heightFor(rows.length) });
    Object.assign(tools, view);
    for (const moment of ["tableBuilt", "scrollVertical"]) view.table.on(moment, () => mark(view, area, problems));
  };

  const shown = (answer) => {
    problems = answer.cells;
    mark(view, area, problems);
    show(form.querySelector("[data-findings]"), answer.html);
  };
  const { changed, check } = kept(form, read, shown);

  form.addEventListener("change", (event) => {
    if (event.target.name !== "label") return;
    if (event.target.value) document_.label = event.target.value;
    else delete document_.label;
    changed();
  });
  form.addEventListener("click", async (event) => {
    if (!event.target.closest("[data-add]")) return;
    const chosen = await editColumn(dialog, { kind: "value", name: "", type: "text", removable: false });
    if (!chosen || chosen.remove || chosen.move || !chosen.name.trim()) return;
    read();
    document_.columns.push({ name: chosen.name.trim(), type: chosen.type });
    for (const entry of document_.entries || []) entry.push(null);
    draw();
    changed();
  });
  rowTools(form, tools);
  form.addEventListener("grid-changed", () => changed());
  draw();
  check();
};
