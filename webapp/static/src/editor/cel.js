// Colours for CEL: strings, numbers, words, functions, operators.
import { StreamLanguage } from "@codemirror/language";

const words = new Set(["true", "false", "null", "in"]);

export const cel = StreamLanguage.define({
  name: "cel",
  startState: () => ({}),
  token(stream) {
    if (stream.eatSpace()) return null;
    if (stream.match(/\/\/.*/)) return "comment";
    if (stream.match(/[rRbB]?("""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\])*"?|'(?:\\.|[^'\\])*'?)/)) return "string";
    if (stream.match(/0[xX][0-9a-fA-F]+u?|\d+(\.\d+)?([eE][+-]?\d+)?u?/)) return "number";
    const word = stream.match(/[A-Za-z_]\w*/);
    if (word) {
      if (words.has(word[0])) return "keyword";
      return stream.peek() === "(" ? "function" : "variableName";
    }
    if (stream.match(/&&|\|\||[=!<>]=|[-+*/%<>!?:]/)) return "operator";
    stream.next();
    return "punctuation";
  },
  languageData: { commentTokens: { line: "//" }, closeBrackets: { brackets: ["(", "[", "{", "'", '"'] } },
  tokenTable: {},
});
