// While arguments are typed, shows the function's signature above the line, with the present parameter in bold.
import { Prec, StateEffect, StateField } from "@codemirror/state";
import { EditorView, keymap, showTooltip } from "@codemirror/view";
import { callAround, scan } from "./tokens.js";
import { make, signature } from "./told.js";

const dismiss = StateEffect.define();
const focus = StateEffect.define();

const best = (fn, position) => fn.signatures.find((one) => one.parameters.length > position) || fn.signatures[0];

const tooltip = (state, words) => {
  const call = callAround(scan(state.sliceDoc(0, state.selection.main.head)));
  const fn = call && words.functions.find((one) => one.name === call.name);
  if (!fn) return null;
  const position = call.argument + (call.member ? 1 : 0);
  const shown = () => make("div", { class: "told" }, signature(fn, best(fn, position), position), make("p", { class: "told-more" }, fn.doc));
  return { pos: call.from, above: true, strictSide: false, call: call.from, create: () => ({ dom: shown() }) };
};

export const signatureHelp = (words) => {
  const field = StateField.define({
    create: () => ({ tooltip: null, dismissed: -1, focused: false }),
    update(value, transaction) {
      let { dismissed, focused } = value;
      for (const effect of transaction.effects) {
        if (effect.is(focus)) focused = effect.value;
        if (effect.is(dismiss)) dismissed = value.tooltip?.call ?? -1;
      }
      if (focused === value.focused && dismissed === value.dismissed && !transaction.docChanged && !transaction.selection) return value;
      const found = focused ? tooltip(transaction.state, words) : null;
      if (found?.call !== dismissed) dismissed = -1;
      return { tooltip: dismissed === -1 ? found : null, dismissed, focused };
    },
    provide: (self) => showTooltip.from(self, (value) => value.tooltip),
  });
  const escape = (view) => {
    if (!view.state.field(field).tooltip) return false;
    view.dispatch({ effects: dismiss.of(null) });
    return true;
  };
  return [
    field,
    Prec.high(keymap.of([{ key: "Escape", run: escape }])),
    EditorView.focusChangeEffect.of((_state, focused) => focus.of(focused)),
  ];
};
