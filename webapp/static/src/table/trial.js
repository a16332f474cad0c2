// "Try it": sends the values of the small form together with the table as it stands in the editor.
import { later, post, show } from "./state.js";

export const tableTrial = (box) => {
  const editor = document.getElementById(box.dataset.editor);
  const result = box.querySelector("[data-result]");
  const fields = box.querySelector("[data-fields]");
  const values = () => Object.fromEntries([...box.querySelectorAll("[data-given]")].map((field) => [field.dataset.given, field.value]));
  const ask = async () => {
    const answer = await post(box.dataset.url, { document: JSON.parse(editor.elements.namedItem("document").value), given: values(), day: box.querySelector("[name=day]")?.value || null });
    if (!answer.ok) return;
    const found = JSON.parse(answer.text);
    if (found.fields !== undefined && fields.dataset.names !== found.names) {
      show(fields, found.fields);
      fields.dataset.names = found.names;
    }
    show(result, found.html);
  };
  const soon = later(ask, 300);
  box.addEventListener("input", soon);
  new MutationObserver(soon).observe(editor.querySelector("[data-findings]"), { childList: true });
  ask();
};
