// A line of a role's policy: what is chosen for a field is shown on an example at once.
export const maskExamples = (form) => {
  form.addEventListener("change", (event) => {
    const { examples } = event.target.dataset;
    const place = event.target.closest("tr")?.querySelector("[data-example]");
    if (examples && place) place.textContent = JSON.parse(examples)[event.target.value] || place.dataset.empty;
  });
};
