// Below the field: what is wrong, with what to type instead; the type; what comes out for the first records.
import { fill, make } from "./told.js";

const sign = (name) => {
  const icon = document.querySelector("svg.icon use")?.getAttribute("href")?.split("#")[0];
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `${icon}#${name}`);
  svg.append(use);
  return svg;
};

const line = (kind, icon, ...parts) => make("div", { class: kind }, sign(icon), make("span", {}, ...parts));

const problem = (found, texts, replace) => line(
  found.severity === "warning" ? "field-error is-warning" : "field-error",
  found.severity === "warning" ? "exclamation-triangle" : "exclamation-circle",
  found.message,
  found.suggestion && " ",
  found.suggestion && make("button", { type: "button", class: "suggestion", onclick: () => replace(found) }, fill(texts.use, { text: found.suggestion })),
);

const nothing = (text) => make("span", { class: "nothing" }, text);

const value = (text, texts) => (text === null ? nothing(texts.empty) : text === "" ? nothing(texts.empty_text) : text);

const outcome = (sample, answer, texts) => {
  if (sample.error) return make("td", { class: "sample-error" }, sample.error);
  if (answer.matching === null || sample.value === null) return make("td", { class: "sample-result" }, value(sample.value, texts));
  const yes = sample.value === "true";
  return make("td", { class: yes ? "sample-result is-yes" : "sample-result is-no" }, yes ? texts.yes : texts.no);
};

const table = (answer, texts) => {
  const heads = [texts.record, ...answer.inputs.map((input) => input.label), texts.result];
  const rows = answer.samples.map((sample) => make("tr", {},
    make("th", { scope: "row" }, sample.record),
    ...sample.inputs.map((text) => make("td", {}, value(text, texts))),
    outcome(sample, answer, texts)));
  return make("div", { class: "sample-table" }, make("table", {},
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...rows)));
};

const matching = (answer, texts) => {
  const values = { matching: answer.matching, count: answer.count };
  const failed = answer.failed ? [" ", make("span", { class: "sample-error" }, fill(answer.failed === 1 ? texts.failed_one : texts.failed, { failed: answer.failed, why: answer.first_error }))] : [];
  const none = answer.matching === 0;
  return line(none ? "match-note is-none" : "match-note", none ? "exclamation-triangle" : "check-circle", fill(texts.matching, values), ...failed);
};

const type = (answer, texts) => {
  const failed = answer.failed ? [" · ", make("span", { class: "sample-error" }, fill(texts.fails, { failed: answer.failed, count: answer.count }))] : [];
  return make("div", { class: "expression-type" }, sign("check"), " ", fill(texts.gives, { type: answer.type_name }), ...failed);
};

// `replace(problem)` puts a suggestion into the text; `full` shows the table of records as well.
export const show = (area, answer, texts, { replace, full }) => {
  const parts = answer.problems.map((found) => problem(found, texts, replace));
  if (answer.outage) parts.push(line("field-error", "exclamation-circle", answer.outage));
  if (answer.type) {
    if (answer.matching === null) parts.push(type(answer, texts));
    else if (answer.count) parts.push(matching(answer, texts));
    if (answer.slow.length) parts.push(line("field-error is-note", "hourglass-split", fill(texts.slow, { why: answer.slow.join(" ") })));
    if (full && answer.samples.length) parts.push(table(answer, texts));
  }
  area.replaceChildren(...parts);
};
