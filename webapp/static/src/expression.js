import { connect } from "./connect.js";
import { expression } from "./expression/controller.js";

connect({ expression });
