// Binds behaviours to elements: `data-controller="confirm other"` calls controllers.confirm(element) once,
// also for what htmx puts into the page later.
const bound = new WeakMap();

const bind = (element, controllers) => {
  const done = bound.get(element) || new Set();
  bound.set(element, done);
  for (const name of element.dataset.controller.split(/\s+/)) {
    if (!controllers[name] || done.has(name)) continue;
    done.add(name);
    controllers[name](element);
  }
};

export const connect = (controllers) => {
  const scan = (root) => {
    if (root.matches?.("[data-controller]")) bind(root, controllers);
    for (const element of root.querySelectorAll?.("[data-controller]") || []) bind(element, controllers);
  };
  const start = () => {
    scan(document);
    new MutationObserver((changes) => {
      for (const change of changes) for (const node of change.addedNodes) scan(node);
    }).observe(document.body, { childList: true, subtree: true });
  };
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
};
