// What the editors of tables share: the hidden document of the form, checking while one types, a warning on leaving.
export const post = async (url, body) => {
  const token = document.querySelector('meta[name="csrf-token"]').content;
  const answer = await fetch(url, { method: "POST", headers: { "Content-Type": "application/json", "X-CSRFToken": token }, body: JSON.stringify(body) });
  return { ok: answer.ok, type: answer.headers.get("Content-Type") || "", text: await answer.text() };
};

// Puts a part that the server has rendered into the page.
export const show = (element, html) => window.htmx.swap(element, html, { swapStyle: "innerHTML" });

export const later = (work, wait) => {
  let timer;
  return () => {
    clearTimeout(timer);
    timer = setTimeout(work, wait);
  };
};

// Keeps form.elements.document equal to what `read` returns and asks the server about it; `shown` gets the answer.
export const kept = (form, read, shown) => {
  const field = form.elements.namedItem("document");
  const first = field.value;
  let sent = false;
  let asked = 0;
  const check = later(async () => {
    const mine = (asked += 1);
    const answer = await post(form.dataset.check, { document: JSON.parse(field.value) });
    if (mine === asked && answer.ok) shown(JSON.parse(answer.text));
  }, 350);
  const changed = () => {
    field.value = JSON.stringify(read());
    form.classList.toggle("is-changed", field.value !== first);
    check();
  };
  form.addEventListener("submit", () => { sent = true; });
  window.addEventListener("beforeunload", (event) => {
    if (!sent && form.classList.contains("is-changed")) event.preventDefault();
  });
  return { changed, check };
};
