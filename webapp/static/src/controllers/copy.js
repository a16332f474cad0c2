// Copies the text of the element named by data-source; where the browser forbids it, the text is selected instead.
export const copy = (button) => {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.source);
    const text = source.value ?? source.textContent;
    try {
      await navigator.clipboard.writeText(text);
      const label = button.querySelector("span") || button;
      const before = label.textContent;
      label.textContent = button.dataset.done;
      setTimeout(() => { label.textContent = before; }, 2000);
    } catch {
      getSelection().selectAllChildren(source);
    }
  });
};
