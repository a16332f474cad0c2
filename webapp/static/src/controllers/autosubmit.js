// Sends a filter form as soon as a choice is made; the form's button serves where scripts do not run.
export const autosubmit = (field) => field.addEventListener("change", () => field.form.requestSubmit());
