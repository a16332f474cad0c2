"""Settings are checked by what the connector declares, from a form's text and from a file's values alike."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.spi import Capabilities, ConnectorSpec, Setting, SettingKind
from tests.connections.systems import Notebook
from webapp.connections.validation import shown, validate_settings, with_defaults

SPEC = Notebook.spec


def errors(**settings: Any) -> dict[str, str]:
    return {name: str(message) for name, message in validate_settings(SPEC, {"host": "h", **settings})[1].items()}


def clean(**settings: Any) -> dict[str, Any]:
    found, wrong = validate_settings(SPEC, {"host": "h", **settings})
    assert not wrong
    return found


def test_text_becomes_typed() -> None:
    """A form's text becomes the declared types; what is empty is left out."""
    given_text = {
        "port": " 12 ",
        "strict": "false",
        "loose": "",
        "headers": '{"a": [1]}',
        "notes": "a\r\nb",
        "token": "",
        "path": " in ",
    }
    assert clean(**given_text) == {
        "host": "h", "port": 12, "strict": False, "headers": {"a": [1]}, "notes": "a\nb", "path": "in",
    }  # fmt: skip


def test_typed_values_stay() -> None:
    """A file's typed values pass, and settings equal to their defaults are kept as stated."""
    values = {"port": 7, "strict": True, "headers": {"a": 1}, "mood": "good", "password": "env:P"}
    assert clean(**values) == {"host": "h", **values}


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("port", "x", "whole number from 1 to 99"),
        ("port", 0, "whole number from 1 to 99"),
        ("port", "100", "whole number from 1 to 99"),
        ("port", True, "whole number"),
        ("port", 1.5, "whole number"),
        ("port", "9" * 5000, "whole number"),
        ("host", "a\nb", "one line"),
        ("host", ["a"], "text"),
        ("host", "x" * 200_000, "too long"),
        ("mood", "happy", "Choose one of: good, slow"),
        ("strict", "perhaps", "yes or no"),
        ("strict", 3, "yes or no"),
        ("notes", "a\0b", "zero character"),
        ("site", "ftp://x", "https://"),
        ("site", "https://", "https://"),
        ("site", "http://[", "https://"),
        ("site", "http://h:99999999/", "https://"),
        ("site", "https://user:canary@h/", "user name and password out"),
        ("headers", "{", "line 1, column 2"),
        ("headers", "[" * 100_000, "nested too deeply"),
        ("hots", "x", "no such setting. It has: host, port"),
        ("password", {"a": 1}, "text"),
    ],
)
def test_what_is_wrong_is_said_at_the_setting(name: str, value: Any, says: str) -> None:
    """Each mistake is told at its own setting, with what to enter."""
    found = errors(**{name: value})
    assert list(found) == [name]
    assert says in found[name]
    assert "canary" not in found[name]


def test_needed_settings() -> None:
    """A needed setting without a default is asked for; blank text is not a value."""
    assert list(validate_settings(SPEC, {})[1]) == ["host"]
    assert list(validate_settings(SPEC, {"host": "  "})[1]) == ["host"]


def test_conditions() -> None:
    """A setting whose condition does not hold is neither needed, nor checked, nor kept."""
    assert errors(mood="slow") == {"delay": "This is needed."}
    assert clean(mood="good", delay="nonsense") == {"host": "h", "mood": "good"}
    assert clean(delay=5) == {"host": "h"}
    assert errors(loose=True) == {"why": "This is needed."}
    assert clean(loose="on", why="so") == {"host": "h", "loose": True, "why": "so"}
    assert "delay" in shown(SPEC, {"mood": "slow"})
    assert "delay" not in shown(SPEC, {})


def test_a_chain_of_conditions() -> None:
    """What depends on a hidden setting is hidden, too, in whatever order they are declared."""
    settings = (
        Setting("c", "C", when=("b", ("1",))),
        Setting("b", "B", when=("a", ("1",))),
        Setting("a", "A"),
    )
    spec = ConnectorSpec("x", "X", "x", "x", settings, Capabilities())
    assert validate_settings(spec, {"a": "1", "b": "1", "c": "1"})[0] == {"a": "1", "b": "1", "c": "1"}
    assert validate_settings(spec, {"a": "2", "b": "1", "c": "1"})[0] == {"a": "2"}


def test_defaults() -> None:
    """The connector gets every setting."""
    filled = with_defaults(SPEC, {"host": "h"})
    assert set(filled) == {s.name for s in SPEC.settings}
    assert (filled["port"], filled["password"], filled["strict"]) == (7, None, True)


_KINDS = st.sampled_from(list(SettingKind))


@given(
    kind=_KINDS,
    value=st.one_of(
        st.none(), st.text(), st.integers(), st.floats(), st.booleans(), st.lists(st.integers()), st.binary()
    ),
)
def test_nothing_crashes_the_checks(kind: SettingKind, value: Any) -> None:
    """Any value of any kind is either clean or an error, and clean values are clean again."""
    setting = Setting("s", "S", kind, choices=(("a", "A"),), minimum=1)
    spec = ConnectorSpec("x", "X", "x", "x", (setting,), Capabilities())
    found, wrong = validate_settings(spec, {"s": value})
    assert not (found and wrong)
    if found and kind is not SettingKind.JSON:
        assert validate_settings(spec, found) == (found, {})
