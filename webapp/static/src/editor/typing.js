// Typing over a selection is done by the editor itself: left alone, Chromium carries the colours and lines of the old
// text over as an inline style, which the page's policy refuses.
import { EditorView } from "@codemirror/view";

const beforeinput = (event, view) => {
  const { from, to, empty } = view.state.selection.main;
  if (event.inputType !== "insertText" || !event.data || event.isComposing || view.composing || empty || view.state.readOnly) return false;
  event.preventDefault();
  const typed = () => view.state.update(view.state.replaceSelection(event.data), { userEvent: "input.type", scrollIntoView: true });
  const taken = view.state.facet(EditorView.inputHandler).some((handler) => handler(view, from, to, event.data, typed));
  if (!taken) view.dispatch(typed());
  return true;
};

export const typing = EditorView.domEventHandlers({ beforeinput });
