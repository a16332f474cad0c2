// data-controller="expression": a textarea becomes an editor, with what is wrong and what comes out below it, and for
// conditions also rows that say the same. The textarea stays the form's field, so the page works without this too.
//   data-scope   address of the scope: what can be written, and checks
//   data-expect  the type that is needed ("boolean" for conditions)
//   data-rows    "true": can be edited as rows
//   data-full    "true": shows a table of the first records
//   data-fields  a selector: the fields are those that its data-fields attribute lists as JSON
import { conditionBuilder } from "./builder.js";
import { expressionEditor } from "./editor.js";
import { show } from "./results.js";
import { scope } from "./scope.js";

const WAIT = 280;
const CHOICE = "syncline-condition";

// Calls `upgrade` once the element is to be seen: a page may hold many that are folded away.
const whenSeen = (element, upgrade) => {
  const watcher = new IntersectionObserver((entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    watcher.disconnect();
    upgrade();
  }, { rootMargin: "600px" });
  watcher.observe(element);
};

const listed = (root) => (root.dataset.fields ? () => JSON.parse(document.querySelector(root.dataset.fields)?.dataset.fieldList || "[]") : null);

const onlyCode = (model) => model.members.length > 0 && model.members.every((member) => "code" in member);

const upgrade = async (root) => {
  const area = root.querySelector("textarea");
  const result = root.querySelector("[data-result]");
  const asked = scope(root.dataset.scope, listed(root));
  const words = await asked.words();
  if (!root.isConnected) return;
  const focused = document.activeElement === area;
  let latest = null;
  let timer = 0;

  // A page whose own fields have changed offers the new ones from now on.
  const own = listed(root);
  let fields = JSON.stringify(own?.());
  const refresh = async () => {
    const now = JSON.stringify(own?.());
    if (now === fields) return;
    fields = now;
    Object.assign(words, await asked.words());
  };

  const check = async () => {
    latest?.abort();
    latest = new AbortController();
    refresh();
    try {
      const answer = await asked.check(area.value, root.dataset.expect || "", latest.signal);
      result.classList.remove("is-waiting");
      editor.mark(answer.problems);
      show(result, answer, words.texts, { replace: editor.replace, full: root.dataset.full === "true" });
      root.classList.toggle("has-problem", answer.problems.some((problem) => problem.severity === "error"));
    } catch (error) {
      if (error.name !== "AbortError") result.replaceChildren();
    }
  };
  // While somebody chooses from the list, the text is unfinished: a mistake would be told too early.
  const later = () => {
    clearTimeout(timer);
    result.classList.add("is-waiting");
    timer = setTimeout(() => (editor.choosing() ? later() : check()), WAIT);
  };
  let told = false;
  let follow = () => {};
  const editor = expressionEditor(area, words, (text) => {
    if (area.value !== text) {
      area.value = text;
      told = true;
      area.dispatchEvent(new Event("input", { bubbles: true }));
      told = false;
    }
    follow(text);
    later();
  });
  area.addEventListener("input", () => { if (!told) editor.set(area.value); });
  area.addEventListener("expression:insert", (event) => { event.preventDefault(); editor.insert(event.detail); });
  root.expressionEditor = editor;
  if (focused) editor.focus();
  if (area.value.trim()) check();
  if (root.dataset.rows === "true" && words.texts.add_row && !area.readOnly && !area.disabled) follow = await modes(root, area, editor, asked, words);
};

// The choice between rows and code; rows are shown first where they can say everything. Returns what is to be done
// when the text has changed: rows that did not say it themselves are read anew.
const modes = async (root, area, editor, asked, words) => {
  const choice = root.querySelector("[data-modes]");
  const holder = root.querySelector("[data-builder]");
  const note = root.querySelector("[data-result]");
  let said = null;
  const rows = conditionBuilder({ holder, words, asked, written: (text) => { said = text; editor.set(text); } });
  const set = (mode) => {
    holder.hidden = mode !== "rows";
    editor.frame.hidden = mode === "rows";
    for (const button of choice.querySelectorAll("[data-mode]")) {
      const active = button.dataset.mode === mode;
      button.setAttribute("aria-pressed", String(active));
      button.classList.toggle("active", active);
    }
    if (mode !== "rows") rows.close();
  };
  const open = async () => {
    const answer = await asked.rows(area.value).catch(() => ({ model: null, problems: [] }));
    if (answer.model) { rows.open(answer.model); set("rows"); return answer.model; }
    if (answer.problems.length) {
      editor.mark(answer.problems);
      show(note, { problems: answer.problems, outage: words.texts.correct_first, type: "" }, words.texts, { replace: editor.replace });
    }
    return null;
  };
  choice.addEventListener("click", async (event) => {
    const mode = event.target.closest("[data-mode]")?.dataset.mode;
    if (!mode) return;
    localStorage.setItem(CHOICE, mode);
    if (mode === "rows") { if (await open()) rows.focus(); } else { await rows.settled(); set("text"); editor.focus(); }
  });
  // What was changed in a row a moment ago is written before the form is sent.
  const form = area.form;
  form?.addEventListener("submit", async (event) => {
    const wrong = form.noValidate && !holder.hidden && [...holder.querySelectorAll("input, select")].find((input) => !input.checkValidity());
    if (wrong) { event.preventDefault(); event.stopImmediatePropagation(); wrong.reportValidity(); return; }
    if (!rows.pending()) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    await rows.settled();
    form.requestSubmit(event.submitter);
  }, { capture: true });
  choice.hidden = false;
  set("text");
  const follow = async (text) => {
    if (holder.hidden || text === said || rows.pending()) return;
    if (!(await open())) set("text");
  };
  if (localStorage.getItem(CHOICE) === "text" || document.activeElement === editor.frame) return follow;
  const model = await asked.rows(area.value).then((answer) => answer.model).catch(() => null);
  if (model && !onlyCode(model)) { rows.open(model); set("rows"); }
  return follow;
};

export const expression = (root) => whenSeen(root, () => upgrade(root));
