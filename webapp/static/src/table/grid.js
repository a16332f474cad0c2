// A spreadsheet of texts: select, type, copy and paste ranges as in Excel; rows are objects of column key -> text.
import {
  ClipboardModule,
  EditModule,
  FormatModule,
  FrozenColumnsModule,
  HistoryModule,
  InteractionModule,
  KeybindingsModule,
  ResizeColumnsModule,
  SelectRangeModule,
  Tabulator,
  TooltipModule,
} from "tabulator-tables";

Tabulator.registerModule([
  ClipboardModule,
  EditModule,
  FormatModule,
  FrozenColumnsModule,
  HistoryModule,
  InteractionModule,
  KeybindingsModule,
  ResizeColumnsModule,
  SelectRangeModule,
  TooltipModule,
]);

// Cells copied from a spreadsheet: one line a row, tabs between cells; a cell with line breaks stands in quotes.
export const parseCells = (text) => {
  const rows = [];
  let row = [];
  let at = 0;
  while (at <= text.length) {
    const quoted = /^"((?:[^"]|"")*)"(?=\t|\r?\n|$)/.exec(text.slice(at));
    const plain = quoted ? null : /^[^\t\r\n]*/.exec(text.slice(at))[0];
    row.push(quoted ? quoted[1].replaceAll('""', '"') : plain);
    at += quoted ? quoted[0].length : plain.length;
    if (text[at] === "\t") at += 1;
    else {
      const end = /^\r?\n/.exec(text.slice(at));
      rows.push(row);
      row = [];
      if (!end || at + end[0].length >= text.length) break;
      at += end[0].length;
    }
  }
  return rows;
};

const editor = (cell, onRendered, success, cancel) => {
  const input = document.createElement("input");
  input.className = "grid-input";
  input.value = cell.getValue() ?? "";
  input.spellcheck = false;
  input.setAttribute("aria-label", cell.getColumn().getDefinition().title);
  onRendered(() => {
    input.focus({ preventScroll: true });
    const typed = input.dataset.typed;
    if (typed) input.value = typed;
    else input.select();
  });
  let done = false;
  const finish = (keep) => {
    if (done) return;
    done = true;
    const typing = document.activeElement === input;
    const area = cell.getTable().element.querySelector(".tabulator-tableholder");
    if (keep && input.value !== (cell.getValue() ?? "")) success(input.value);
    else cancel();
    if (typing) area.focus({ preventScroll: true }); // arrow keys and typing go on where they were
  };
  input.addEventListener("blur", () => finish(true));
  input.addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Escape") finish(false);
    if (event.key === "Enter" || event.key === "Tab") finish(true);
    event.stopPropagation();
    if (event.key === "Tab") event.preventDefault();
  });
  return input;
};

// `columns` are {key, title, label, kind, width, readOnly}; `changed` is called after every edit.
export const grid = (area, { columns, rows, changed, height }) => {
  const element = document.createElement("div"); // a grid drawn before keeps listening on its own
  area.replaceChildren(element);
  const definition = (column) => ({
    field: column.key,
    title: column.title,
    cssClass: `grid-${column.kind}`,
    width: column.width,
    minWidth: 70,
    titleFormatter: (_cell) => column.head,
    editor: column.readOnly ? false : editor,
    formatter: (cell) => {
      const text = document.createElement("span");
      text.textContent = cell.getValue() ?? "";
      cell.getElement().tabIndex = -1; // one stop for Tab, not one for each cell
      return text;
    },
    tooltip: (_event, cell) => cell.getElement().dataset.problem || "",
  });
  const table = new Tabulator(element, {
    data: rows,
    columns: columns.map(definition),
    rowHeader: {
      formatter: (cell) => {
        const number = document.createElement("span");
        cell.getRow().watchPosition((position) => { number.textContent = position; });
        return number;
      },
      resizable: false,
      frozen: true,
      width: 46,
      hozAlign: "center",
      cssClass: "grid-number",
    },
    height,
    layout: "fitDataStretch",
    history: true,
    selectableRange: 1,
    selectableRangeColumns: true,
    selectableRangeRows: true,
    selectableRangeClearCells: true,
    selectableRangeClearCellsValue: "",
    keybindings: { navNext: false, navPrev: false }, // Tab leaves the grid, arrow keys move in it
    editTriggerEvent: "dblclick",
    clipboard: true,
    clipboardCopyStyled: false,
    clipboardCopyRowRange: "range",
    clipboardCopyConfig: { columnHeaders: false, rowHeaders: false },
    clipboardPasteParser: (text) => parseCells(text),
    clipboardPasteAction: (cells) => paste(cells),
    columnDefaults: { resizable: "header" },
    placeholder: area.dataset.empty || "",
  });

  const place = () => {
    const range = table.getRanges()[0];
    const cell = range?.getCells?.()[0]?.[0];
    return cell ? { row: cell.getRow().getPosition() - 1, column: columns.findIndex((one) => one.key === cell.getField()) } : null;
  };

  const paste = async (cells) => {
    const start = place() || { row: 0, column: 0 };
    const from = Math.max(start.column, 0);
    const missing = start.row + cells.length - table.getDataCount();
    for (let count = 0; count < missing; count += 1) await table.addRow(blank());
    const all = table.getRows();
    for (const [down, line] of cells.entries()) {
      for (const [right, text] of line.entries()) {
        const column = columns[from + right];
        if (column && !column.readOnly) all[start.row + down].getCell(column.key).setValue(text.trim());
      }
    }
    changed();
    return all.slice(start.row, start.row + cells.length);
  };

  const blank = () => Object.fromEntries(columns.map((column) => [column.key, column.blank ?? ""]));

  // Typing on a selected cell replaces what is in it, as in a spreadsheet.
  element.addEventListener("keydown", (event) => {
    const typing = event.key.length === 1 && !event.ctrlKey && !event.metaKey && !event.altKey;
    if (!typing && event.key !== "F2" && event.key !== "Enter") return;
    if (event.target.closest("input")) return;
    const cell = table.getRanges()[0]?.getCells?.()[0]?.[0];
    if (!cell || cell.getColumn().getDefinition().editor === false) return;
    event.preventDefault();
    event.stopPropagation();
    cell.edit(true);
    const input = cell.getElement().querySelector("input");
    if (input && typing) {
      input.dataset.typed = event.key;
      input.value = event.key;
    }
  }, { capture: true });

  // Until the table is built it has no rows, and what it is given must not be taken for deleted.
  let built = false;
  const ready = new Promise((resolve) => {
    table.on("tableBuilt", () => {
      built = true;
      resolve();
    });
  });
  const data = () => (built ? table.getRows().map((row) => row.getData()) : rows);

  for (const name of ["cellEdited", "rowDeleted", "rowAdded", "rowMoved", "historyUndo", "historyRedo"]) table.on(name, () => changed());
  let high = height;
  const fit = () => {
    const wanted = heightFor(table.getDataCount());
    if (wanted === high) return;
    high = wanted;
    table.setHeight(wanted);
  };
  for (const name of ["rowDeleted", "rowAdded"]) table.on(name, fit);
  return { table, place, blank, columns, data, ready };
};

// The buttons above a grid: they work on the row of the selected cell.
export const rowTools = (root, view) => {
  const works = {
    async add() {
      const at = view.place();
      const row = await view.table.addRow(view.blank(), false, at ? view.table.getRows()[at.row] : undefined);
      row.scrollTo();
    },
    async copy() {
      const at = view.place();
      if (at) await view.table.addRow({ ...view.table.getRows()[at.row].getData(), id: "", hits: "" }, false, view.table.getRows()[at.row]);
    },
    up() { swap(-1); },
    down() { swap(1); },
    remove() {
      const range = view.table.getRanges()[0];
      const rows = range ? range.getRows() : [];
      for (const row of rows) row.delete();
    },
    undo() { view.table.undo(); },
    redo() { view.table.redo(); },
  };
  const swap = (step) => {
    const at = view.place();
    const rows = view.table.getRows();
    const other = at && rows[at.row + step];
    if (!other) return;
    const [one, two] = [rows[at.row].getData(), other.getData()].map((data) => ({ ...data }));
    rows[at.row].update(two);
    other.update(one);
    view.table.getRanges()[0]?.setBounds(other.getCells()[at.column + 1] || other.getCells()[1]);
    root.dispatchEvent(new Event("grid-changed"));
  };
  root.addEventListener("click", (event) => {
    const button = event.target.closest("[data-grid]");
    if (button && works[button.dataset.grid]) view.ready.then(works[button.dataset.grid]);
  });
};

// Underlines the cells that something is wrong with; `problems` are {row, key, text, severity}.
export const mark = (view, area, problems) => {
  for (const cell of area.querySelectorAll(".has-problem")) {
    cell.classList.remove("has-problem", "is-warning");
    delete cell.dataset.problem;
  }
  const rows = view.table.getRows();
  for (const problem of problems) {
    const element = rows[problem.row]?.getCells().find((cell) => cell.getField() === problem.key)?.getElement();
    if (!element) continue;
    element.classList.add("has-problem");
    element.classList.toggle("is-warning", problem.severity === "warning");
    element.dataset.problem = problem.text;
  }
};

// As high as its rows, as far as the window allows.
export const heightFor = (count) => Math.min(Math.max(count, 4) * 37 + 76, Math.max(window.innerHeight - 280, 320));
