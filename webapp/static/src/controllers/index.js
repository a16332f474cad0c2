// Each behaviour is a module of its own: `controllers` are bound by data-controller, `components` by Alpine's x-data.
import { autosubmit } from "./autosubmit.js";
import { caseTicks, decide } from "./cases.js";
import { confirm } from "./confirm.js";
import { copy } from "./copy.js";
import { designer, validationList } from "./designer.js";
import { eventRule } from "./event_rule.js";
import { bulkBar, drawer, recordFilter, reference } from "./entities.js";
import { onwards } from "./onwards.js";
import { passkey } from "./passkey.js";
import { picker } from "./picker.js";
import { expressionList, languageHelp, mapping, reveal, ruleSetup } from "./rulebook.js";
import { maskExamples } from "./policies.js";
import { restBuilder } from "./rest_builder.js";
import { ruleTest } from "./rule_test.js";
import { settings } from "./settings.js";
import { theme } from "./theme.js";
import { tick } from "./tick.js";
import { print } from "./print.js";

export const controllers = {
  autosubmit,
  "case-ticks": caseTicks,
  confirm,
  copy,
  decide,
  "bulk-bar": bulkBar,
  designer,
  drawer,
  "record-filter": recordFilter,
  print,
  reference,
  "event-rule": eventRule,
  onwards,
  passkey,
  picker,
  mapping,
  "mask-examples": maskExamples,
  reveal,
  "expression-list": expressionList,
  "language-help": languageHelp,
  "rest-builder": restBuilder,
  "rule-setup": ruleSetup,
  "rule-test": ruleTest,
  settings,
  theme,
  tick,
  "validation-list": validationList,
};

export const components = {};
