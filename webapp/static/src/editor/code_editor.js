// Turns a textarea into an editor: data-controller="code-editor" data-language="yaml|json|cel".
// The textarea stays the form's field; data-error-line and data-error-text mark a mistake that the server found.
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, HighlightStyle, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { lintGutter, setDiagnostics } from "@codemirror/lint";
import { EditorState } from "@codemirror/state";
import { drawSelection, EditorView, highlightActiveLine, keymap, lineNumbers } from "@codemirror/view";
import { yaml } from "@codemirror/lang-yaml";
import { tags } from "@lezer/highlight";
import { cel } from "./cel.js";

const languages = { yaml: () => yaml(), json: () => yaml(), cel: () => cel };

const colours = HighlightStyle.define([
  { tag: [tags.keyword, tags.bool, tags.null], color: "var(--code-keyword)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--code-string)" },
  { tag: [tags.number, tags.integer, tags.float], color: "var(--code-number)" },
  { tag: tags.comment, color: "var(--code-comment)", fontStyle: "italic" },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--code-name)" },
  { tag: [tags.function(tags.variableName), tags.standard(tags.variableName)], color: "var(--code-call)" },
  { tag: [tags.operator, tags.punctuation, tags.separator], color: "var(--ink-muted)" },
]);

const look = EditorView.theme({
  "&": { fontSize: "0.8125rem", color: "var(--ink)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6", maxHeight: "36rem" },
  ".cm-content": { padding: "0.5rem 0", caretColor: "var(--ink)" },
  ".cm-line": { padding: "0 0.7rem" },
  ".cm-gutters": { background: "var(--surface-sunken)", color: "var(--ink-muted)", border: "0" },
  ".cm-activeLine, .cm-activeLineGutter": { background: "color-mix(in srgb, var(--accent) 7%, transparent)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { background: "color-mix(in srgb, var(--accent) 26%, transparent) !important" },
  ".cm-matchingBracket": { background: "var(--accent-soft) !important", outline: "1px solid var(--accent)" },
  ".cm-tooltip": { background: "var(--surface)", color: "var(--ink)", border: "1px solid var(--line)", borderRadius: "7px", fontFamily: "var(--font)" },
});

const marks = (state, area) => {
  const number = Number(area.dataset.errorLine || 0);
  if (!number || number > state.doc.lines) return [];
  const line = state.doc.line(number);
  const from = Math.min(line.to, line.from + Math.max(0, Number(area.dataset.errorColumn || 1) - 1));
  return [{ from, to: Math.max(line.to, from), severity: "error", message: area.dataset.errorText || "" }];
};

export const codeEditor = (area) => {
  const single = area.dataset.language === "cel" && area.rows <= 2;
  // A shadow tree takes the editor's style sheets as objects, so the page's policy needs no exception for inline styles.
  const frame = document.createElement("div");
  frame.className = area.classList.contains("is-invalid") ? "code-editor is-invalid" : "code-editor";
  const root = frame.attachShadow({ mode: "open" });
  const view = new EditorView({
    root,
    parent: root,
    state: EditorState.create({
      doc: area.value,
      extensions: [
        history(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(), EditorView.lineWrapping,
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap]),
        single ? [] : [lineNumbers(), highlightActiveLine(), lintGutter()],
        (languages[area.dataset.language] || (() => []))(),
        look, syntaxHighlighting(colours),
        EditorState.readOnly.of(area.readOnly || area.disabled),
        EditorView.contentAttributes.of({
          "aria-label": area.labels?.[0]?.textContent || area.name,
          ...(area.getAttribute("aria-describedby") ? { "aria-describedby": area.getAttribute("aria-describedby") } : {}),
        }),
        EditorView.updateListener.of((update) => {
          if (!update.docChanged) return;
          area.value = update.state.doc.toString();
          area.dispatchEvent(new Event("input", { bubbles: true }));
        }),
      ],
    }),
  });
  area.hidden = true;
  area.after(frame);
  view.dispatch(setDiagnostics(view.state, marks(view.state, area)));
  area.codeEditor = view;
};
