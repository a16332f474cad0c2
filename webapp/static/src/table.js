import { connect } from "./connect.js";
import { decisionTable } from "./table/decision_table.js";
import { lookupTable } from "./table/lookup_table.js";
import { tableTrial } from "./table/trial.js";

connect({ "decision-table": decisionTable, "lookup-table": lookupTable, "table-trial": tableTrial });
