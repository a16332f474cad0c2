// The form of an event rule: asks while one types what is wrong, shows it at its place, draws the chart anew, and
// remembers which parts are folded open when the server renders the form again.
const WAIT = 450;

const parsed = (html) => new DOMParser().parseFromString(html, "text/html").body.childNodes;
const sign = '<svg class="icon" width="16" height="16" fill="currentColor" aria-hidden="true"><use></use></svg>';

const show = (field, text, icon) => {
  const own = field.closest(".field");
  if (!own || own.classList.contains("expression-field")) return;
  field.classList.toggle("is-invalid", Boolean(text));
  own.querySelector(".field-error")?.remove();
  if (!text) { field.removeAttribute("aria-invalid"); return; }
  field.setAttribute("aria-invalid", "true");
  const note = document.createElement("div");
  note.className = "field-error";
  note.append(...parsed(`${sign}<span></span>`));
  note.querySelector("use").setAttribute("href", icon);
  note.querySelector("span").textContent = text;
  (field.closest(".input-group") || field).after(note);
};

export const eventRule = (form) => {
  const findings = form.querySelector("[data-findings]");
  let timer = 0;
  let asked = 0;
  let sent = false;
  const icon = () => `${document.querySelector("use")?.getAttribute("href").split("#")[0]}#exclamation-circle`;
  const named = (name) => document.getElementById(`f-${name}`);

  const check = async () => {
    const mine = (asked += 1);
    const answer = await fetch(form.dataset.check, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } });
    if (mine !== asked || !answer.ok) return;
    const found = await answer.json();
    for (const field of form.querySelectorAll(".is-invalid")) if (!found.errors[field.id.slice(2)]) show(field, "");
    for (const [name, text] of Object.entries(found.errors)) if (named(name)?.matches("input, select, textarea")) show(named(name), text, icon());
    findings.replaceChildren(...parsed(found.html));
    const chart = form.querySelector("[data-chart]");
    if (chart && found.chart.trim()) chart.replaceChildren(...parsed(found.chart));
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(check, WAIT);
  };

  form.addEventListener("input", () => { form.classList.add("is-changed"); soon(); });
  form.addEventListener("change", soon);
  form.addEventListener("htmx:afterSettle", () => { form.classList.add("is-changed"); soon(); });
  form.addEventListener("toggle", (event) => {
    const open = event.target.querySelector(":scope > div > input[type=hidden][name$='.open']");
    if (open) open.value = event.target.open ? "1" : "";
  }, true);
  form.addEventListener("click", (event) => {
    const tool = event.target.closest("summary button");
    if (tool && !tool.hasAttribute("hx-post")) event.preventDefault();
    const jump = event.target.closest("[data-jump]");
    if (!jump) return;
    event.preventDefault();
    const target = named(jump.dataset.jump) || form.querySelector(`[data-part="${CSS.escape(jump.dataset.jump)}"]`);
    if (!target) return;
    for (let part = target; part && part !== form; part = part.parentElement) if (part.matches("details")) part.open = true;
    const field = target.closest(".expression-field");
    (field || target).scrollIntoView({ block: "center" });
    if (field?.expressionEditor) field.expressionEditor.focus();
    else target.focus({ preventScroll: true });
  });
  form.addEventListener("submit", () => { sent = true; });
  window.addEventListener("beforeunload", (event) => {
    if (!sent && form.classList.contains("is-changed")) event.preventDefault();
  });
};
