#!/usr/bin/env python3
"""A small Singer tap over a JSON file: streams with a log of changes, and every fault that a tap can have.

Its configuration: `store` (the file), `token` (has to be "good-token"), `fault` (see `sync`).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--catalog")
    parser.add_argument("--state")
    parser.add_argument("--discover", action="store_true")
    arguments = parser.parse_args()
    config = load(arguments.config)
    if config.get("token") != "good-token":
        sys.exit(f"the token {config.get('token')} is not accepted")
    try:
        store = load(config["store"])
    except (KeyError, OSError) as error:
        sys.exit(f"the store cannot be opened: {error}")
    if arguments.discover:
        json.dump(catalog(store), sys.stdout)
        return
    sync(config, store, load(arguments.catalog), load(arguments.state) if arguments.state else {})


def load(path: str) -> Any:
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def catalog(store: dict[str, Any]) -> dict[str, Any]:
    entries = []
    for name, stream in store.items():
        about = {"valid-replication-keys": stream["grows"], "valid-replication-methods": ["FULL_TABLE", "LOG_BASED"]}
        entries.append({
            "stream": name, "tap_stream_id": name, "schema": stream["schema"], "key_properties": stream["key"],
            "metadata": [{"breadcrumb": ["properties", "id"], "metadata": {}}, {"breadcrumb": [], "metadata": about}],
        })  # fmt: skip
    return {"streams": entries}


def send(**message: Any) -> None:
    sys.stdout.write(json.dumps(message, ensure_ascii=False) + "\n")


def raw(name: str, row: str) -> None:
    sys.stdout.write('{"type": "RECORD", "stream": ' + json.dumps(name) + ', "record": ' + row + "}\n")


def sync(config: dict[str, Any], store: dict[str, Any], wanted: dict[str, Any], state: dict[str, Any]) -> None:  # noqa: C901
    fault, sent = config.get("fault", ""), 0
    if fault == "noise":
        sys.stdout.write("hello from the tap\n")
    if fault == "hang":
        time.sleep(60)
    if fault == "memory":
        bytearray(10**10)
    if fault == "long":
        sys.stdout.write("x" * 70_000_000)
    (entry,) = [e for e in wanted["streams"] if e.get("selected")]
    name = entry["tap_stream_id"]
    stream = store[name]
    if fault != "no schema":
        send(type="SCHEMA", stream=name, schema=stream["schema"], key_properties=stream["key"])
    if fault == "other":
        raw("another", "{}")
    for row, after in rows(stream, entry, state):
        if sent == 2 and fault in {"exit", "early", "cut", "kill"}:
            stop(fault, name)
        if row is not None:
            raw(name, row)
            sent += 1
        send(type="STATE", value=after)
    if stream.get("emptied") and state:
        send(type="ACTIVATE_VERSION", stream=name, version=2)
    if fault == "unfinished":
        send(type="STATE", value={"currently_syncing": name})
    told = sent + (1 if fault == "miscount" else 0)
    point = {"type": "counter", "metric": "record_count", "value": told, "tags": {"stream": name}}
    sys.stdout.write("\n")
    sys.stderr.write('\nINFO METRIC: {"metric": "timer"}\nINFO METRIC: {"metric"}\n')
    sys.stderr.write("INFO METRIC: " + json.dumps(point) + "\n")


def rows(stream: dict[str, Any], entry: dict[str, Any], state: dict[str, Any]) -> Any:
    """Yield (record or nothing, state behind it)."""
    log = stream["log"]
    if entry["replication_method"] == "LOG_BASED" and "log" in state:
        for place in range(state["log"], len(log)):
            yield log[place], {"log": place + 1}
        return
    mine = state.get("bookmarks", {}).get(entry["tap_stream_id"], {})
    yield None, {"log": len(log)}
    for row in stream["rows"]:
        value = json.loads(row).get(mine.get("replication_key"))
        if mine and value is not None and str(value) < str(mine["replication_key_value"]):
            continue
        yield row, {"log": len(log)}


def stop(fault: str, name: str) -> None:
    sys.stdout.flush()
    if fault == "exit":
        sys.exit("the token good-token has expired")
    if fault == "early":
        point = {"type": "counter", "metric": "record_count", "value": 10, "tags": {"stream": name}}
        sys.stderr.write("INFO METRIC: " + json.dumps(point) + "\n")
        sys.exit(0)
    if fault == "cut":
        sys.stdout.write('{"type": "RECORD", "str')
        sys.stdout.flush()
        sys.exit(0)
    os.kill(os.getpid(), 9)


if __name__ == "__main__":
    main()
