// From places that the server tells (lines and columns from 1, in characters) to places in a document.

// A character outside the basic plane counts once on the server and twice here.
const units = (text, characters) => [...text].slice(0, Math.max(0, characters)).join("").length;

const wordAt = (text, start) => text.slice(start).match(/^(?:[\p{L}\p{N}_]+|\S)/u)?.[0].length || 0;

// Returns {from, to} of a problem; without an end the word at its place, or what is left of the line.
export const rangeOf = (doc, problem) => {
  const line = doc.line(Math.min(Math.max(problem.line || 1, 1), doc.lines));
  const start = Math.min(units(line.text, problem.column - 1), line.length);
  const from = line.from + start;
  const length = problem.end > problem.column ? units(line.text.slice(start), problem.end - problem.column) : wordAt(line.text, start);
  return { from, to: Math.min(from + length, doc.length) };
};

export const ranges = (doc, problems) => problems
  .map((problem) => ({ ...rangeOf(doc, problem), severity: problem.severity || "error", message: problem.message }))
  .sort((a, b) => a.from - b.from);
