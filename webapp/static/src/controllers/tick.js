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
    const wanted = box.checked; // each change below lets the box show how many are ticked by then
    for (const other of boxes()) {
      if (other.checked === wanted) continue;
      other.checked = wanted;
      other.dispatchEvent(new Event("change", { bubbles: true }));
    }
  });
  table.addEventListener("change", (event) => { if (event.target !== box) show(); });
  show();
};
