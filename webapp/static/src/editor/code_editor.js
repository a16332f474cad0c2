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
  { tag: [tags.keyword, tags.bool, tags.null], class: "tok-keyword" },
  { tag: [tags.string, tags.special(tags.string)], class: "tok-string" },
  { tag: [tags.number, tags.integer, tags.float], class: "tok-number" },
  { tag: tags.comment, class: "tok-comment" },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], class: "tok-property" },
  { tag: [tags.function(tags.variableName), tags.standard(tags.variableName)], class: "tok-function" },
  { tag: [tags.operator, tags.punctuation, tags.separator], class: "tok-operator" },
]);

const marks = (state, area) => {
  const number = Number(area.dataset.errorLine || 0);
  if (!number || number > state.doc.lines) return [];
  const line = state.doc.line(number);
  const from = Math.min(line.to, line.from + Math.max(0, Number(area.dataset.errorColumn || 1) - 1));
  return [{ from, to: Math.max(line.to, from), severity: "error", message: area.dataset.errorText || "" }];
};

export const codeEditor = (area) => {
  const single = area.dataset.language === "cel" && area.rows <= 2;
  const view = new EditorView({
    state: EditorState.create({
      doc: area.value,
      extensions: [
        history(), drawSelection(), indentOnInput(), bracketMatching(), closeBrackets(), EditorView.lineWrapping,
        keymap.of([...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap]),
        single ? [] : [lineNumbers(), highlightActiveLine(), lintGutter()],
        (languages[area.dataset.language] || (() => []))(),
        syntaxHighlighting(colours),
        EditorState.readOnly.of(area.readOnly || area.disabled),
        EditorView.cspNonce.of(document.querySelector('meta[name="style-nonce"]')?.content || ""),
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
  area.after(view.dom);
  view.dispatch(setDiagnostics(view.state, marks(view.state, area)));
  area.codeEditor = view;
};
