// A select with search: for long lists and for several values.
import TomSelect from "tom-select/dist/js/tom-select.base.js";
import removeButton from "tom-select/dist/js/plugins/remove_button.js";

TomSelect.define("remove_button", removeButton);

export const picker = (select) => {
  const own = select.dataset.create === "true";
  new TomSelect(select, {
    create: own,
    persist: own,
    maxOptions: 1000,
    plugins: select.multiple ? ["remove_button"] : [],
    allowEmptyOption: true,
    hideSelected: select.multiple,
  });
  // its label now names the box that people type into; the list behind it would be read a second time, without a name
  select.setAttribute("aria-hidden", "true");
};
