// The rule editor: naming a new rule, the mapping table, expressions with their list of fields and functions, and
// parts of a form that belong to one choice only.

// Shows [data-reveal="name=a,b"] only while the field `name` has one of the values.
export const reveal = (root) => {
  const update = () => {
    for (const part of root.querySelectorAll("[data-reveal]")) {
      const [name, values] = part.dataset.reveal.split("=");
      const chosen = root.querySelector(`[name="${name}"]:checked`)?.value;
      part.hidden = !values.split(",").includes(chosen);
    }
  };
  root.addEventListener("change", update);
  update();
};

const slug = (text) => text.toLowerCase().replace(/\.[a-z0-9]{1,5}$/, "").replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "");

// Proposes a name from the two objects until somebody types one, and says which side is read and which is written.
export const ruleSetup = (form) => {
  const name = form.elements.namedItem("name");
  let own = name.value !== "";
  name.addEventListener("input", () => { own = name.value !== ""; });
  const value = (field) => form.elements.namedItem(field)?.value || "";
  const propose = () => {
    const parts = ["left", "right"].map((side) => [slug(value(`${side}_object`)), slug(value(`${side}_connection`))]);
    if (own || !value("left_object") || !value("right_object")) return;
    const [left, right] = parts.map(([object, connection]) => [object, connection].filter(Boolean).join("_"));
    const text = `${left}_to_${right}`.replace(/^[^a-z]+/, "");
    name.value = text.slice(0, 63).replace(/_+$/, "");
  };
  const roles = () => {
    const reversed = value("direction") === "right_to_left";
    for (const role of form.querySelectorAll("[data-side]")) {
      const reads = (role.dataset.side === "left") !== reversed;
      role.textContent = reads ? role.dataset.from : role.dataset.to;
    }
  };
  form.addEventListener("change", () => { propose(); roles(); });
  roles();
};

// The mapping table: expression boxes, stepping through the examples, filtering.
export const mapping = (form) => {
  const sample = form.elements.namedItem("sample");
  const label = form.querySelector("[data-sample-label]");
  const show = () => {
    for (const part of form.querySelectorAll("[data-sample]")) part.hidden = part.dataset.sample !== sample.value;
    if (label) label.textContent = label.dataset.template.replace("#", Number(sample.value) + 1);
  };
  const count = () => Math.max(0, ...[...form.querySelectorAll("[data-sample]")].map((part) => Number(part.dataset.sample) + 1));
  form.addEventListener("click", (event) => {
    const more = event.target.closest("[data-more]");
    if (more) {
      const part = document.getElementById(more.getAttribute("aria-controls"));
      part.hidden = !part.hidden;
      more.setAttribute("aria-expanded", String(!part.hidden));
    }
    const step = event.target.closest("[data-step]");
    if (!step || !count()) return;
    sample.value = (Number(sample.value) + Number(step.dataset.step) + count()) % count();
    show();
  });
  form.addEventListener("change", (event) => {
    if (!event.target.matches("[data-source]")) return;
    const row = event.target.closest("[data-row]");
    const box = row.querySelector("[data-expression]");
    const writes = event.target.value === "=";
    const first = writes && box.hidden;
    box.hidden = !writes;
    row.classList.toggle("is-open", event.target.value === "");
    const input = box.querySelector("input");
    if (first && !input.value && event.target.dataset.last) input.value = event.target.dataset.last;
    event.target.dataset.last = writes ? "" : fieldText(event.target.value);
    if (first) input.focus();
  });
  for (const select of form.querySelectorAll("[data-source]")) if (select.value && select.value !== "=") select.dataset.last = fieldText(select.value);
  form.querySelector("[data-filter]")?.addEventListener("input", (event) => {
    const words = event.target.value.trim().toLowerCase();
    for (const row of form.querySelectorAll("[data-row]")) row.hidden = !row.dataset.name.includes(words);
  });
  form.querySelector("[data-filter]")?.addEventListener("keydown", (event) => { if (event.key === "Enter") event.preventDefault(); });
};

const fieldText = (name) => (/^[A-Za-z_]\w*$/.test(name) ? name : name && `record[${JSON.stringify(name)}]`);

let writing = null; // the expression that was written last, where a click in the list puts its text

const insert = (input, text) => {
  const start = input.selectionStart ?? input.value.length;
  const end = input.selectionEnd ?? start;
  input.setRangeText(text, start, end, "end");
  input.focus();
  const open = text.indexOf("(", 0) + 1; // with arguments to fill in, the caret goes between the brackets
  if (text.endsWith("(…)")) input.setSelectionRange(start + open, start + open + 1);
  input.dispatchEvent(new Event("input", { bubbles: true }));
};

// A form with expressions: remembers the one being written, and takes over what a message proposes.
export const expressionList = (form) => {
  form.addEventListener("focusin", (event) => {
    if (event.target.matches(".expression-input, [name^='when-']")) writing = event.target;
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && event.target.matches(".expression-input")) event.preventDefault();
  });
  form.addEventListener("click", (event) => {
    const button = event.target.closest("[data-replace]");
    if (!button) return;
    const area = button.closest(".expression-check");
    const input = form.querySelector(`[aria-describedby~="${area.id}"]`);
    if (!input) return;
    const at = Number(button.dataset.column) - 1;
    const word = input.value.slice(at).match(/^[\p{L}\p{N}_]+|^\S/u)?.[0] || "";
    input.setSelectionRange(at, at + word.length);
    insert(input, button.dataset.text);
  });
};

// The list of fields and functions: search, and a click that writes into the expression.
export const languageHelp = (panel) => {
  panel.addEventListener("click", (event) => {
    const button = event.target.closest("[data-insert]");
    if (!button) return;
    const input = writing?.isConnected ? writing : [...document.querySelectorAll(".expression-input")].find((one) => one.offsetParent);
    if (input) insert(input, button.dataset.insert);
  });
  panel.querySelector("[data-filter]").addEventListener("input", (event) => {
    const words = event.target.value.trim().toLowerCase();
    for (const item of panel.querySelectorAll("[data-words]")) item.hidden = !item.dataset.words.includes(words);
    for (const section of panel.querySelectorAll("section")) section.hidden = !section.querySelector("[data-words]:not([hidden])");
  });
};
