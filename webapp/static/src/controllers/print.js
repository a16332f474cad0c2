// A button that prints the page, with all that is folded opened for it.
export const print = (button) => {
  button.addEventListener("click", () => {
    const folded = [...document.querySelectorAll("main details:not([open])")];
    folded.forEach((part) => { part.open = true; });
    window.print();
    folded.forEach((part) => { part.open = false; });
  });
};
