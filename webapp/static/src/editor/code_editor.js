// Turns a textarea into an editor: data-controller="code-editor" data-language="yaml|json".
// The textarea stays the form's field; data-problems lists what the server found: line, column, end, message, severity.
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, indentOnInput } from "@codemirror/language";
import { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { lintGutter, lintKeymap, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { yaml } from "@codemirror/lang-yaml";
import { colours, frameAfter, look } from "./look.js";
import { ranges } from "./ranges.js";
import { typing } from "./typing.js";

const languages = { yaml: () => yaml(), json: () => yaml() };

export const codeEditor = (area) => {
  const { root } = frameAfter(area, "code-editor");
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: area.value,
      extensions: [
        history(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(), EditorView.lineWrapping,
        keymap.of([...closeBracketsKeymap, ...lintKeymap, ...defaultKeymap, ...historyKeymap]),
        lineNumbers(), highlightActiveLine(), lintGutter(),
        (languages[area.dataset.language] || (() => []))(),
        look, colours, typing,
        EditorState.readOnly.of(area.readOnly || area.disabled),
        EditorView.contentAttributes.of({ tabindex: "0", "aria-label": area.labels?.[0]?.textContent || area.name }),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          area.value = update.state.doc.toString();
          area.dispatchEvent(new Event("input", { bubbles: true }));
        }),
      ],
    }),
  });
  const problems = JSON.parse(area.dataset.problems || "[]");
  view.dispatch(setDiagnostics(view.state, ranges(view.state.doc, problems)));
  document.querySelector(`[data-problems-of="${area.id}"]`)?.addEventListener("click", (event) => {
    const link = event.target.closest("[data-line]");
    if (!link || Number(link.dataset.line) > view.state.doc.lines) return;
    const { from } = view.state.doc.line(Number(link.dataset.line));
    view.dispatch({ selection: { anchor: from }, effects: EditorView.scrollIntoView(from, { y: "center" }) });
    view.focus();
  });
  area.codeEditor = view;
};
