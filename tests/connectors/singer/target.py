#!/usr/bin/env python3
"""A small Singer target that keeps records by key in a JSON file, and every fault that a target can have."""

from __future__ import annotations

import json
import os
import sys


def main() -> None:  # noqa: C901, PLR0912
    with open(sys.argv[sys.argv.index("--config") + 1], encoding="utf-8") as file:
        config = json.load(file)
    if config.get("token") != "good-token":
        sys.exit("the token is not accepted")
    kept: dict[str, dict] = {}
    if os.path.exists(config["store"]):
        with open(config["store"], encoding="utf-8") as file:
            kept = json.load(file)
    key, states, fault = [], [], config.get("fault", "")
    for line in sys.stdin:
        message = json.loads(line)
        if message["type"] == "SCHEMA":
            key = message["key_properties"]
        elif message["type"] == "STATE":
            states.append(message["value"])
        else:
            row = message["record"]
            name = json.dumps([row[k] for k in key])
            if fault == "refuse":
                sys.exit(f"record {name} is refused: good-token")
            if row.pop("_sdc_deleted_at", None):
                kept.pop(name, None)
            else:
                kept[name] = {**kept.get(name, {}), **row}
    with open(config["store"], "w", encoding="utf-8") as file:
        json.dump(kept, file, ensure_ascii=False)
    if fault == "silent":
        return
    if fault == "wrapped":
        sys.stdout.write(json.dumps({"type": "STATE", "value": states[-1]}) + "\n")
        return
    for state in states:
        sys.stdout.write(json.dumps({"older": True} if fault == "older" else state) + "\n")
    if fault == "late":
        sys.exit(3)


if __name__ == "__main__":
    main()
