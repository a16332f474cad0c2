// Goes round auto, light, dark and remembers it in this browser.
const order = ["auto", "light", "dark"];
const system = matchMedia("(prefers-color-scheme: dark)");
const root = document.documentElement;

const apply = (choice) => {
  root.dataset.themeChoice = choice;
  root.dataset.bsTheme = choice === "dark" || (choice === "auto" && system.matches) ? "dark" : "light";
};

export const theme = (button) => {
  const describe = () => {
    const label = button.dataset[`label${root.dataset.themeChoice.replace(/^./, (c) => c.toUpperCase())}`];
    button.setAttribute("aria-label", label);
    button.title = label;
  };
  button.addEventListener("click", () => {
    const next = order[(order.indexOf(root.dataset.themeChoice) + 1) % order.length];
    localStorage.setItem("syncline-theme", next);
    apply(next);
    describe();
  });
  system.addEventListener("change", () => apply(root.dataset.themeChoice));
  describe();
};
