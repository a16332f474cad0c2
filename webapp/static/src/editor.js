import { connect } from "./connect.js";
import { codeEditor } from "./editor/code_editor.js";

connect({ "code-editor": codeEditor });
