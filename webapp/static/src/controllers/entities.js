// Behaviours of records' lists and forms.
import TomSelect from "tom-select/dist/js/tom-select.base.js";

// A panel that opens below its button: a click elsewhere or Escape closes it.
export const drawer = (details) => {
  document.addEventListener("click", (event) => {
    if (details.open && !details.contains(event.target)) details.open = false;
  });
  details.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !details.open) return;
    details.open = false;
    details.querySelector("summary").focus();
  });
};

// Says how many records are ticked and shows what can be done with them.
export const bulkBar = (form) => {
  const bar = form.querySelector("[data-bulk-bar]");
  if (!bar) return;
  const count = bar.querySelector("[data-bulk-count]");
  const show = () => {
    const ticked = form.querySelectorAll("input[name=id]:checked").length;
    bar.hidden = ticked === 0;
    count.textContent = count.dataset.text.replace("{count}", ticked);
  };
  form.addEventListener("change", show);
  show();
};

// Gives each condition the operators and the kind of input that fit its field.
export const recordFilter = (form) => {
  const spec = JSON.parse(form.dataset.spec);
  const rows = form.querySelector("[data-filter-rows]");
  const add = form.querySelector("[data-filter-add]");
  const blank = rows.lastElementChild.cloneNode(true);
  const without = new Set(["empty", "filled"]);

  const choices = (field) => {
    if (field.input === "choice") return field.choices;
    if (field.input === "boolean") return [["true", form.dataset.yes], ["false", form.dataset.no]];
    return null;
  };
  const input = (field, operator, value) => {
    const options = operator === "any_of" ? null : choices(field);
    const made = document.createElement(options ? "select" : "input");
    made.name = "fv";
    made.className = options ? "form-select form-select-sm" : "form-control form-control-sm";
    if (options) for (const [key, text] of options) made.add(new Option(text, key, false, key === value));
    else {
      made.type = field.input === "date" && operator !== "any_of" ? "date" : "text";
      made.value = made.type === "date" ? value.slice(0, 10) : value;
      if (field.input === "number") made.inputMode = "decimal";
    }
    return made;
  };
  const fit = (row) => {
    const [name, operator] = row.querySelectorAll("select");
    const field = spec[name.value];
    const slot = row.querySelector(".filter-value");
    for (const option of operator.options) option.hidden = option.disabled = Boolean(field) && !field.operators.includes(option.value);
    if (field && !field.operators.includes(operator.value)) operator.value = field.operators[0];
    if (!field) return;
    const old = slot.firstElementChild;
    const made = input(field, operator.value, old.value);
    made.setAttribute("aria-label", old.getAttribute("aria-label"));
    slot.replaceChildren(made);
    made.hidden = without.has(operator.value);
    if (made.hidden && made.tagName === "INPUT") made.value = "";
  };
  const wire = (row) => {
    for (const select of [...row.querySelectorAll("select")].slice(0, 2)) select.addEventListener("change", () => fit(row));
    const remove = row.querySelector("[data-filter-remove]");
    remove.hidden = false;
    remove.addEventListener("click", () => {
      if (rows.children.length === 1) rows.append(wire(blank.cloneNode(true)));
      row.remove();
    });
    fit(row);
    return row;
  };
  for (const row of rows.children) wire(row);
  add.hidden = false;
  add.addEventListener("click", () => {
    const row = wire(blank.cloneNode(true));
    rows.append(row);
    row.querySelector("select").focus();
  });
};

// Finds the record that a reference points to by what people know of it.
export const reference = (input) => {
  const value = input.value;
  const start = value ? [{ value, text: input.dataset.title || `#${value}` }] : [];
  new TomSelect(input, {
    maxItems: 1,
    options: start,
    items: start.map((option) => option.value),
    valueField: "value",
    labelField: "text",
    searchField: [],
    placeholder: input.dataset.placeholder,
    plugins: ["remove_button"],
    preload: "focus",
    closeAfterSelect: true,
    load: (query, done) => {
      fetch(`${input.dataset.source}?q=${encodeURIComponent(query)}`, { headers: { Accept: "application/json" } })
        .then((answer) => (answer.ok ? answer.json() : []))
        .then(done)
        .catch(() => done());
    },
    score: () => () => 1,
    onType() { this.clearOptions(); },
  });
};
