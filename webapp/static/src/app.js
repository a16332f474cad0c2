import "bootstrap/js/dist/alert";
import "bootstrap/js/dist/collapse";
import "bootstrap/js/dist/dropdown";
import "bootstrap/js/dist/modal";
import "bootstrap/js/dist/offcanvas";
import Alpine from "@alpinejs/csp";
import htmx from "htmx.org";
import { components, controllers } from "./controllers/index.js";
import { connect } from "./connect.js";

window.htmx = htmx;
for (const [name, component] of Object.entries(components)) Alpine.data(name, component);
Alpine.start();
connect(controllers);
