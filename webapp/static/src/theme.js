// Runs before the page is drawn, so that a dark page never flashes white.
const choice = localStorage.getItem("syncline-theme") || "auto";
const dark = choice === "dark" || (choice === "auto" && matchMedia("(prefers-color-scheme: dark)").matches);
document.documentElement.dataset.bsTheme = dark ? "dark" : "light";
document.documentElement.dataset.themeChoice = choice;
