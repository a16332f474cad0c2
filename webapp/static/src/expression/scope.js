// Asks the server about a scope: what can be written, what is wrong with a text, a condition as rows and as text.
const kept = new Map();

const nothing = { fields: [], functions: [], words: [], lookups: [], relations: {}, texts: {} };

const token = () => document.querySelector("meta[name=csrf-token]")?.content || "";

const send = async (address, body, signal) => {
  const headers = { Accept: "application/json", "Content-Type": "application/json", "X-CSRFToken": token() };
  const answer = await fetch(address, { method: "POST", headers, body: JSON.stringify(body), signal });
  if (!answer.ok || !answer.headers.get("Content-Type")?.includes("json")) throw new Error(String(answer.status));
  return answer.json();
};

const get = async (address) => {
  const answer = await fetch(address, { headers: { Accept: "application/json" } });
  if (!answer.ok || !answer.headers.get("Content-Type")?.includes("json")) throw new Error(String(answer.status));
  return answer.json();
};

// `fields` are those of a page that sends them itself: a function that returns a list, or null.
export const scope = (address, fields) => {
  const own = () => (fields ? { fields: fields() } : {});
  return {
    words() {
      if (fields) return send(address, { words: true, ...own() }).catch(() => nothing);
      if (!kept.has(address)) {
        kept.set(address, get(address).catch(() => { kept.delete(address); return nothing; }));
      }
      return kept.get(address);
    },
    check: (text, expect, signal) => send(address, { text, expect, ...own() }, signal),
    rows: (text) => send("/expressions/condition", { text }),
    text: (model) => send("/expressions/condition", { model }),
  };
};
