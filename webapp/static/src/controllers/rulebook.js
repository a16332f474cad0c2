import { keepTyped, numberAtTheEnd } from "./list_steps.js";

// The rule editor: naming a new rule, the mapping table, expressions with their list of fields and functions, and
// parts of a form that belong to one choice only.

// Shows [data-reveal="name=a,b"] only while the field `name` has one of the values.
export const reveal = (root) => {
  const update = () => {
    for (const part of root.querySelectorAll("[data-reveal]")) {
      const [name, values] = part.dataset.reveal.split("=");
      const chosen = root.querySelector(`[name="${name}"]:checked, select[name="${name}"]`)?.value;
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
    const text = `${left}_${value("direction") === "two_way" ? "and" : "to"}_${right}`.replace(/^[^a-z]+/, "");
    name.value = text.slice(0, 63).replace(/_+$/, "");
  };
  const roles = () => {
    const direction = value("direction");
    for (const role of form.querySelectorAll("[data-side]")) {
      const reads = (role.dataset.side === "left") !== (direction === "right_to_left");
      const oneWay = reads ? role.dataset.from : role.dataset.to;
      role.textContent = direction === "two_way" ? role.dataset.both : oneWay;
    }
  };
  form.addEventListener("change", () => { propose(); roles(); });
  roles();
};

// The mapping table: expression boxes, stepping through the examples, filtering; of a two-way rule, pairs come and go.
export const mapping = (form) => {
  if (form.querySelector("#pairs")) {
    keepTyped(form, { list: "pairs", item: "[data-row]", names: numberAtTheEnd }, () => form.dispatchEvent(new Event("try")));
  }
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
    const area = box.querySelector("textarea");
    if (first && !area.value && event.target.dataset.last) {
      area.value = event.target.dataset.last;
      area.dispatchEvent(new Event("input", { bubbles: true }));
    }
    event.target.dataset.last = writes ? "" : fieldText(event.target.value);
    if (first) (box.querySelector(".expression-field").expressionEditor || area).focus();
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

const areaOf = (element) => element.closest(".expression-field")?.querySelector("textarea");

// An editor takes the text itself; without one it goes into the plain text area.
const insert = (area, text) => {
  if (!area.dispatchEvent(new CustomEvent("expression:insert", { detail: text, cancelable: true }))) return;
  const start = area.selectionStart ?? area.value.length;
  area.setRangeText(text, start, area.selectionEnd ?? start, "end");
  area.focus();
  if (text.endsWith("(…)")) area.setSelectionRange(area.selectionStart - 2, area.selectionStart - 1);
  area.dispatchEvent(new Event("input", { bubbles: true }));
};

// A form with expressions: remembers the one being written.
export const expressionList = (form) => {
  form.addEventListener("focusin", (event) => { writing = areaOf(event.target) || writing; });
};

// The list of fields and functions: search, and a click that writes into the expression.
export const languageHelp = (panel) => {
  panel.addEventListener("click", (event) => {
    const button = event.target.closest("[data-insert]");
    if (!button) return;
    const first = [...document.querySelectorAll(".expression-field")].find((one) => one.offsetParent);
    const area = writing?.isConnected ? writing : first?.querySelector("textarea");
    if (area) insert(area, button.dataset.insert);
  });
  panel.querySelector("[data-filter]").addEventListener("input", (event) => {
    const words = event.target.value.trim().toLowerCase();
    for (const item of panel.querySelectorAll("[data-words]")) item.hidden = !item.dataset.words.includes(words);
    for (const section of panel.querySelectorAll("section")) section.hidden = !section.querySelector("[data-words]:not([hidden])");
  });
};
