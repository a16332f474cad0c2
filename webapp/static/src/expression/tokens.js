// The words of an expression as far as it is typed, for completion and hints; the server alone decides what is right.
const pattern = new RegExp([
  String.raw`\/\/[^\n]*`,
  String.raw`[rRbB]{0,2}(?:"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$))`,
  String.raw`[rRbB]{0,2}(?:"(?:\\.|[^"\\\n])*(?:"|$|(?=\n))|'(?:\\.|[^'\\\n])*(?:'|$|(?=\n)))`,
  String.raw`\d+(?:\.\d+)?(?:[eE][+-]?\d+)?`,
  String.raw`[\p{L}_][\p{L}\p{N}_]*`,
  String.raw`&&|\|\||[=!<>]=|\S`,
].join("|"), "gu");

const typeOf = (text) => {
  if (text.startsWith("//")) return "comment";
  if (/^[rRbB]{0,2}["']/.test(text)) return "string";
  if (/^\d/.test(text)) return "number";
  return /^[\p{L}_]/u.test(text) ? "word" : "sign";
};

export const scan = (text) => [...text.matchAll(pattern)].map(({ 0: found, index }) => {
  const type = typeOf(found);
  const token = { type, text: found, from: index, to: index + found.length };
  if (type === "string") {
    const body = found.replace(/^[rRbB]+/, "");
    const quote = body.match(/^("""|'''|["'])/)[0];
    token.start = index + found.length - body.length + quote.length;
    token.quote = quote;
    token.closed = body.length >= 2 * quote.length && body.endsWith(quote);
  }
  return token;
});

// Returns the name of the field that ends at a token: status, record.status, record["status"].
export const fieldAt = (tokens, last) => {
  const at = (back) => tokens[last - back];
  if (at(0)?.type === "word") {
    if (at(1)?.text !== ".") return at(0).text;
    return at(2)?.text === "record" && at(3)?.text !== "." ? at(0).text : null;
  }
  if (at(0)?.text === "]" && at(1)?.type === "string" && at(2)?.text === "[" && at(3)?.text === "record") return at(1).text.slice(1, -1);
  return null;
};

// Returns the innermost call around the end of the tokens: {name, member, from, argument}.
export const callAround = (tokens) => {
  let depth = 0;
  let argument = 0;
  for (let n = tokens.length - 1; n >= 0; n -= 1) {
    const { text, type } = tokens[n];
    if (type !== "sign") continue;
    if (")]}".includes(text)) depth += 1;
    else if ("([{".includes(text)) {
      if (depth > 0) { depth -= 1; continue; }
      const name = tokens[n - 1];
      if (text === "(" && name?.type === "word") return { name: name.text, member: tokens[n - 2]?.text === ".", from: name.from, argument };
      argument = 0;
    } else if (text === "," && depth === 0) argument += 1;
  }
  return null;
};

export const quote = (text) => `'${text.replace(/\\/g, "\\\\").replace(/'/g, "\\'").replace(/\n/g, "\\n")}'`;
