// How all code editors look; the colours are the console's variables, so they follow light and dark.
import { HighlightStyle, syntaxHighlighting } from "@codemirror/language";
import { EditorView } from "@codemirror/view";
import { tags } from "@lezer/highlight";

export const colours = syntaxHighlighting(HighlightStyle.define([
  { tag: [tags.keyword, tags.bool, tags.null], color: "var(--code-keyword)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--code-string)" },
  { tag: [tags.number, tags.integer, tags.float], color: "var(--code-number)" },
  { tag: tags.comment, color: "var(--code-comment)", fontStyle: "italic" },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--code-name)" },
  { tag: [tags.function(tags.variableName), tags.standard(tags.variableName)], color: "var(--code-call)" },
  { tag: [tags.operator, tags.punctuation, tags.separator], color: "var(--ink-muted)" },
]));

const chosen = { background: "var(--accent-soft)", color: "var(--accent-soft-ink)" };
const wave = (colour) => ({ backgroundImage: "none", textDecoration: `underline wavy ${colour} 1.2px`, textUnderlineOffset: "3px", paddingBottom: "0" });

export const look = EditorView.theme({
  "&": { fontSize: "0.8125rem", color: "var(--ink)" },
  "&.cm-focused": { outline: "none" },
  ".cm-scroller": { fontFamily: "var(--mono)", lineHeight: "1.6", maxHeight: "36rem" },
  ".cm-content": { padding: "0.5rem 0", caretColor: "var(--ink)" },
  ".cm-line": { padding: "0 0.7rem" },
  ".cm-gutters": { background: "var(--surface-sunken)", color: "var(--ink-muted)", border: "0" },
  ".cm-activeLine, .cm-activeLineGutter": { background: "color-mix(in srgb, var(--accent) 7%, transparent)" },
  ".cm-cursor": { borderLeftColor: "var(--ink)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { background: "color-mix(in srgb, var(--accent) 26%, transparent) !important" },
  "&.cm-focused .cm-matchingBracket": { background: "var(--accent-soft) !important", outline: "1px solid var(--accent)" },
  ".cm-placeholder": { color: "var(--ink-muted)", opacity: "0.85" },
  ".cm-lintRange-error": wave("var(--bad-dot)"),
  ".cm-lintRange-warning": wave("var(--warn-dot)"),
  ".cm-lintPoint:after": { borderBottomColor: "var(--bad-dot)" },
  ".cm-lintPoint-warning:after": { borderBottomColor: "var(--warn-dot)" },
  ".cm-snippetField": { background: "color-mix(in srgb, var(--accent) 14%, transparent)" },
  ".cm-tooltip": {
    background: "var(--surface)", color: "var(--ink)", border: "1px solid var(--line)", borderRadius: "7px",
    boxShadow: "var(--shadow-high)", fontFamily: "var(--font)", fontSize: "0.8125rem", overflow: "hidden", zIndex: "40",
  },
  ".cm-tooltip.cm-tooltip-autocomplete": { overflow: "visible" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul": { borderRadius: "7px", fontFamily: "var(--font)", maxHeight: "min(17rem, 45vh)", minWidth: "min(17rem, 90vw)", maxWidth: "min(34rem, 92vw)" },
  ".cm-tooltip.cm-tooltip-autocomplete > ul > li": { display: "flex", gap: "0.9rem", alignItems: "baseline", justifyContent: "space-between", padding: "0.25rem 0.6rem", lineHeight: "1.45" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected]": chosen,
  ".cm-tooltip-autocomplete .cm-completionLabel": { fontFamily: "var(--mono)", fontSize: "0.8125rem" },
  ".cm-tooltip-autocomplete .cm-completionMatchedText": { textDecoration: "none", fontWeight: "700" },
  ".cm-tooltip-autocomplete .cm-completionDetail": { fontStyle: "normal", color: "var(--ink-muted)", fontSize: "0.75rem", overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap", maxWidth: "17rem", marginLeft: "0" },
  ".cm-tooltip-autocomplete > ul > li[aria-selected] .cm-completionDetail": { color: "inherit" },
  ".cm-tooltip.cm-completionInfo": { padding: "0", margin: "0 4px" },
  ".cm-completionInfo-right-narrow, .cm-completionInfo-left-narrow": { display: "none" },
  ".cm-tooltip-lint": { padding: "0" },
  ".cm-diagnostic": { padding: "0.45rem 0.7rem", borderLeft: "3px solid var(--bad-dot)", maxWidth: "min(28rem, 90vw)" },
  ".cm-diagnostic-warning": { borderLeftColor: "var(--warn-dot)" },
  ".cm-diagnosticAction": { background: "none", color: "var(--accent)", border: "1px solid currentColor", borderRadius: "5px", padding: "0 0.45rem", marginLeft: "0.6rem", font: "inherit", fontWeight: "550" },
  ".told": { padding: "0.5rem 0.75rem", maxWidth: "min(26rem, 90vw)", lineHeight: "1.5" },
  ".told p": { margin: "0.2rem 0 0" },
  ".told code": { fontFamily: "var(--mono)", fontSize: "0.78rem", overflowWrap: "anywhere" },
  ".told .told-head": { fontFamily: "var(--mono)", fontSize: "0.8125rem", margin: "0", overflowWrap: "anywhere" },
  ".told .told-more": { color: "var(--ink-muted)" },
  ".told b": { color: "var(--accent)", fontWeight: "700" },
});

// A shadow tree takes an editor's style sheets as objects, so the page's policy needs no exception for inline styles.
export const frameAfter = (area, name) => {
  const frame = document.createElement("div");
  frame.className = area.classList.contains("is-invalid") ? `${name} is-invalid` : name;
  area.hidden = true;
  area.after(frame);
  return { frame, root: frame.attachShadow({ mode: "open" }) };
};
