// Colours for CEL: strings, numbers, words, functions, operators.
import { StreamLanguage } from "@codemirror/language";

const words = new Set(["true", "false", "null", "in"]);
const plain = /[rRbB]{0,2}(?:"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?)/;

const longText = (stream, state) => {
  while (!stream.eol()) {
    if (stream.match(state.quote)) { state.quote = null; break; }
    if (stream.next() === "\\") stream.next();
  }
  return "string";
};

export const cel = StreamLanguage.define({
  name: "cel",
  startState: () => ({ quote: null }),
  token(stream, state) {
    if (state.quote) return longText(stream, state);
    if (stream.eatSpace()) return null;
    if (stream.match(/\/\/.*/)) return "comment";
    const open = stream.match(/[rRbB]{0,2}("""|''')/);
    if (open) { state.quote = open[1]; return longText(stream, state); }
    if (stream.match(plain)) return "string";
    if (stream.match(/0[xX][0-9a-fA-F]+u?|\d+(\.\d+)?([eE][+-]?\d+)?u?/)) return "number";
    const word = stream.match(/[\p{L}_][\p{L}\p{N}_]*/u);
    if (word) {
      if (words.has(word[0])) return "keyword";
      return /^\s*\(/.test(stream.string.slice(stream.pos)) ? "variableName.function" : "variableName";
    }
    if (stream.match(/&&|\|\||[=!<>]=|[-+*/%<>!?:]/)) return "operator";
    stream.next();
    return "punctuation";
  },
  languageData: { commentTokens: { line: "//" }, closeBrackets: { brackets: ["(", "[", "{", "'", '"'] } },
});
