// The form of a rule's test: who types an expected value wants it compared.

export const ruleTest = (form) => {
  form.addEventListener("input", (event) => {
    const tick = event.target.closest(".expect-line")?.querySelector("[type=checkbox]");
    if (tick && tick !== event.target) tick.checked = true;
  });
};
