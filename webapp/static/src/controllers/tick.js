// A box in a table's head that ticks the column, or in a row's head that ticks the row: data-boxes is their selector.
export const tick = (box) => {
  const table = box.closest("table, fieldset, form");
  const boxes = () => [...table.querySelectorAll(box.dataset.boxes)].filter((other) => !other.disabled);
  const show = () => {
    const all = boxes();
    const ticked = all.filter((other) => other.checked).length;
    box.checked = all.length > 0 && ticked === all.length;
    box.indeterminate = ticked > 0 && ticked < all.length;
  };
  box.addEventListener("change", () => {
    for (const other of boxes()) {
      if (other.checked === box.checked) continue;
      other.checked = box.checked;
      other.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
  table.addEventListener("change", (event) => { if (event.target !== box) show(); });
  show();
};
