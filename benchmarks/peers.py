"""Other rule engines on the same records, in an environment of their own: `python peers.py RECORDS SECONDS`.

Each engine gets as many of the records as it can do in the given CPU time, and at most all. Prints one JSON object:
case -> engine -> records per CPU second. An engine that cannot express a case is left out of it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

import closures
import workload

Work = Callable[[dict[str, Any]], Any]
BATCH = 200


def rate(work: Work, rows: list[dict[str, Any]], seconds: float) -> float:
    """Return records per CPU second; the first records warm the engine up and do not count."""
    for row in rows[:20]:
        work(row)
    done, start = 0, time.process_time()
    while done < len(rows):
        for row in rows[done : done + BATCH]:
            work(row)
        done += BATCH
        if time.process_time() - start > seconds:
            break
    return min(done, len(rows)) / (time.process_time() - start)


def agree(name: str, work: Work, reference: Work, rows: list[dict[str, Any]]) -> None:
    """Stop where an engine gives another result than Python: then it does other work."""
    for row in rows[:500]:
        found, wanted = work(row), reference(row)
        if found != wanted:
            raise SystemExit(f"{name} gives {found!r}, not {wanted!r}, for {row!r}")


def conditions() -> Iterator[tuple[str, Work]]:
    """Yield the engines that state the condition."""
    import jsonata
    import rule_engine
    import zen
    from cel_expr_python import cel

    compiled = zen.compile_expression(
        "country == 'CN' and amount > 1000 and status in ['new', 'open'] and startsWith(name, 'A')"
    )
    yield "zen-engine", compiled.evaluate
    names = {"country": cel.Type.STRING, "amount": cel.Type.DOUBLE, "status": cel.Type.STRING, "name": cel.Type.STRING}
    program = cel.NewEnv(variables=names).compile(workload.CONDITION)
    yield "cel-expr-python", lambda r: program.eval(data={n: r[n] for n in names}).plain_value()
    rule = rule_engine.Rule(
        'country == "CN" and amount > 1000 and (status == "new" or status == "open") and name.starts_with("A")'
    )
    yield "rule-engine", rule.matches
    expression = jsonata.Jsonata(
        "country = 'CN' and amount > 1000 and status in ['new', 'open'] and $substring(name, 0, 1) = 'A'"
    )
    yield "jsonata-python", expression.evaluate
    yield "business-rules", _business_rules()
    yield "durable-rules", _durable_rules()


def _business_rules() -> Work:
    from business_rules.engine import check_conditions_recursively
    from business_rules.variables import (
        BaseVariables,
        boolean_rule_variable,
        numeric_rule_variable,
        string_rule_variable,
    )

    class Record(BaseVariables):
        def __init__(self, row: dict[str, Any]) -> None:
            self.row = row

        @string_rule_variable
        def country(self) -> str:
            return self.row["country"]

        @numeric_rule_variable
        def amount(self) -> float:
            return self.row["amount"]

        @boolean_rule_variable
        def waiting(self) -> bool:
            return self.row["status"] in ("new", "open")

        @string_rule_variable
        def name(self) -> str:
            return self.row["name"]

    wanted = {
        "all": [
            {"name": "country", "operator": "equal_to", "value": "CN"},
            {"name": "amount", "operator": "greater_than", "value": 1000},
            {"name": "waiting", "operator": "is_true", "value": True},
            {"name": "name", "operator": "starts_with", "value": "A"},
        ]
    }
    return lambda r: check_conditions_recursively(wanted, Record(r))


def _durable_rules() -> Work:
    from durable.engine import Host, MessageNotHandledException

    matched: list[bool] = []
    ruleset = {
        "r": {
            "all": [
                {
                    "m": {
                        "$and": [
                            {"country": "CN"},
                            {"$gt": {"amount": 1000}},
                            {"$or": [{"status": "new"}, {"status": "open"}]},
                            {"$mt": {"name": "A.*"}},
                        ]
                    }
                }
            ],
            "run": lambda _c: matched.append(True),
        }
    }
    host = Host({"bench": ruleset})
    number = [0]

    def work(row: dict[str, Any]) -> bool:
        number[0] += 1
        matched.clear()
        try:
            host.post("bench", {"id": number[0], **{n: row[n] for n in ("country", "amount", "status", "name")}})
        except MessageNotHandledException:
            return False
        return bool(matched)

    return work


def mappings() -> Iterator[tuple[str, Work]]:
    """Yield the engines that state the mapping, as far as they can; which of its fields they fill stands beside them."""
    import jsonata
    import zen
    from cel_expr_python import cel

    texts = {
        "title": "upper(trim(name))",
        "whole_name": "trim(name) + ' (' + surname + ')'",
        "mail": "lower(trim(email))",
        "sex": "gender == 'M' ? 1 : (gender == 'F' ? 2 : 0)",
        "age": "2026 - d(born).year()",
        "free": "limit - amount",
        "gross": "amount * 1.19",
        "state": "not active ? 'inactive' : (score > 700 ? 'vip' : 'normal')",
    }
    compiled = {name: zen.compile_expression(text) for name, text in texts.items()}
    copies = ("number", "city", "phone", "country")
    yield (
        "zen-engine (phone as it is)",
        lambda r: {
            **{name: r[name] for name in copies},
            **{name: one.evaluate(r) for name, one in compiled.items()},
        },
    )
    kinds = {
        **dict.fromkeys(("name", "surname", "email", "gender"), cel.Type.STRING),
        **dict.fromkeys(("amount", "limit", "score"), cel.Type.DOUBLE),
        "active": cel.Type.BOOL,
    }
    environment = cel.NewEnv(variables=kinds)
    programs = [
        environment.compile(text)
        for text in (
            "name + ' (' + surname + ')'",
            "gender == 'M' ? 1 : (gender == 'F' ? 2 : 0)",
            "limit - amount",
            "amount * 1.19",
            "!active ? 'inactive' : (score > 700.0 ? 'vip' : 'normal')",
        )
    ]
    yield (
        "cel-expr-python (5 fields)",
        lambda r: [p.eval(data={n: r[n] for n in kinds}).plain_value() for p in programs],
    )
    whole = jsonata.Jsonata(
        "{'title': $uppercase($trim(name)), 'whole_name': $trim(name) & ' (' & surname & ')',"
        " 'mail': $lowercase($trim(email)), 'sex': gender = 'M' ? 1 : (gender = 'F' ? 2 : 0), 'free': limit - amount,"
        " 'gross': amount * 1.19, 'state': active ? (score > 700 ? 'vip' : 'normal') : 'inactive'}"
    )
    yield "jsonata-python (7 fields)", whole.evaluate


def tables(rows: list[tuple[str, int, int, int, int]]) -> Iterator[tuple[str, Work]]:
    """Yield the engines that state the decision table."""
    import rule_engine
    import zen

    content = {
        "hitPolicy": "first",
        "inputs": [
            {"id": name, "name": name, "field": name, "type": "expression"} for name in ("country", "amount", "level")
        ],
        "outputs": [{"id": "discount", "name": "discount", "field": "discount", "type": "expression"}],
        "rules": [
            {"_id": str(n), "country": f'"{c}"', "amount": f"[{low}..{high})", "level": str(level), "discount": str(d)}
            for n, (c, low, high, level, d) in enumerate(rows)
        ],
    }
    graph = {
        "nodes": [
            {"id": "in", "type": "inputNode", "name": "in", "position": {"x": 0, "y": 0}},
            {
                "id": "table",
                "type": "decisionTableNode",
                "name": "table",
                "position": {"x": 0, "y": 0},
                "content": content,
            },
            {"id": "out", "type": "outputNode", "name": "out", "position": {"x": 0, "y": 0}},
        ],
        "edges": [
            {"id": "a", "sourceId": "in", "targetId": "table", "type": "edge"},
            {"id": "b", "sourceId": "table", "targetId": "out", "type": "edge"},
        ],
    }
    decision = zen.ZenEngine().create_decision(json.dumps(graph))

    def asked(row: dict[str, Any]) -> int | None:
        return decision.evaluate({n: row[n] for n in ("country", "amount", "level")})["result"].get("discount")

    yield "zen-engine", asked
    rules = [
        (rule_engine.Rule(f'country == "{c}" and amount >= {low} and amount < {high} and level == {level}'), d)
        for c, low, high, level, d in rows
    ]
    yield "rule-engine", lambda r: next((d for rule, d in rules if rule.matches(r)), None)


def main(count: int, seconds: float) -> None:
    """Measure all engines and print the rates."""
    rows = workload.records(count)
    found: dict[str, dict[str, float]] = {"condition": {}, "mapping": {}}
    for name, work in conditions():
        agree(name, work, closures.condition(), rows)
        found["condition"][name] = rate(work, rows, seconds)
    for name, work in mappings():
        found["mapping"][name] = rate(work, rows, seconds)
    for size in (50, 500):
        lines = workload.table_rows(size)
        found[f"table of {size} rows"] = case = {}
        for name, work in tables(lines):
            agree(name, work, closures.table(lines), rows)
            case[name] = rate(work, rows, seconds)
    print(json.dumps(found))


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]))
