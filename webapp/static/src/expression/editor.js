// One line of code that grows, with colours, completion, hints and underlined problems. Tab leaves it.
import { closeBrackets, closeBracketsKeymap, completionStatus } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, insertNewline } from "@codemirror/commands";
import { bracketMatching } from "@codemirror/language";
import { setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, keymap, placeholder } from "@codemirror/view";
import { cel } from "../editor/cel.js";
import { colours, frameAfter, look } from "../editor/look.js";
import { rangeOf } from "../editor/ranges.js";
import { typing } from "../editor/typing.js";
import { completion } from "./completion.js";
import { signatureHelp } from "./signature.js";
import { fill, hover } from "./told.js";

const small = EditorView.theme({
  ".cm-content": { padding: "0.42rem 0", minHeight: "2.2rem" },
  ".cm-line": { padding: "0 0.65rem" },
  ".cm-scroller": { maxHeight: "14rem", lineHeight: "1.55" },
  "&": { fontSize: "var(--expression-size, 0.8125rem)" },
});

const nothing = () => true; // Enter would submit the form; a line of its own takes Shift

export const expressionEditor = (area, words, changed) => {
  const { frame, root } = frameAfter(area, "expression-editor");
  const label = area.getAttribute("aria-label") || area.labels?.[0]?.textContent.trim() || area.name;
  const lines = area.dataset.lines === "true";
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: area.value,
      selection: { anchor: area.value.replace(/\r\n?/g, "\n").length },
      extensions: [
        history(), drawSelection(), bracketMatching(), closeBrackets(), EditorView.lineWrapping, cel,
        completion(words), signatureHelp(words), hover(words),
        keymap.of([
          { key: "Shift-Enter", run: insertNewline },
          ...(lines ? [] : [{ key: "Enter", run: nothing }]),
          ...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap,
        ]),
        small, look, colours, typing,
        placeholder(area.placeholder || ""),
        EditorState.readOnly.of(area.readOnly || area.disabled),
        EditorView.contentAttributes.of({ "aria-label": label, spellcheck: "false", autocapitalize: "off", autocorrect: "off" }),
        EditorView.updateListener.of((update) => { if (update.docChanged) changed(update.state.doc.toString()); }),
      ],
    }),
  });
  for (const part of area.labels || []) part.addEventListener("click", () => view.focus());

  const text = () => view.state.doc.toString();
  const replace = (problem) => {
    const { from, to } = rangeOf(view.state.doc, problem);
    view.dispatch({ changes: { from, to, insert: problem.suggestion }, selection: { anchor: from + problem.suggestion.length }, userEvent: "input.complete" });
    view.focus();
  };
  return {
    view,
    frame,
    text,
    replace,
    choosing: () => completionStatus(view.state) === "active",
    focus: () => view.focus(),
    set(value) {
      if (value !== text()) view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: value }, selection: { anchor: value.length } });
    },
    insert(piece) {
      const { from, to } = view.state.selection.main;
      const open = piece.endsWith("(…)") ? piece.length - 2 : -1;
      const selection = open < 0 ? { anchor: from + piece.length } : { anchor: from + open, head: from + open + 1 };
      view.dispatch({ changes: { from, to, insert: piece }, selection, userEvent: "input.complete" });
      view.focus();
    },
    mark(problems) {
      const shown = problems.map((problem) => ({
        ...rangeOf(view.state.doc, problem),
        severity: problem.severity,
        message: problem.message,
        actions: problem.suggestion ? [{ name: fill(words.texts.use, { text: problem.suggestion }), apply: () => replace(problem) }] : [],
      })).sort((a, b) => a.from - b.from);
      view.dispatch(setDiagnostics(view.state, shown));
      frame.classList.toggle("is-invalid", problems.some((problem) => problem.severity === "error"));
      view.contentDOM.setAttribute("aria-invalid", String(problems.some((problem) => problem.severity === "error")));
    },
  };
};
