"""Logs: one rotated file a process under data/logs with everything, and short lines on the terminal.

A traceback goes to the file only; the terminal says what happened and names the file.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
from collections.abc import MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any

import structlog

from config import Settings
from webapp import tracing

LARGEST_FILE = 10 * 1024 * 1024
KEPT_FILES = 5
SECRET_WORDS = ("password", "secret", "token", "authorization", "api_key")


def name_trace(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the ids of the trace and the span that the line is of."""
    event.update(tracing.ids())
    return event


_SHARED: tuple[structlog.typing.Processor, ...] = (
    structlog.contextvars.merge_contextvars,
    name_trace,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
)

_TRACES = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)  # local variables can be secrets
)


def folder(settings: Settings) -> Path:
    """Return the folder of the log files."""
    return settings.data / "logs"


def configure(settings: Settings, process: str, *, terminal: bool = True) -> None:
    """Send the logs of this process to data/logs/`process`.log and, shortened, to the terminal."""
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
        handler.close()
    root.setLevel(settings.log_level.upper())
    root.addHandler(_file(settings, process))
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it tells whole addresses, and queries can hold secrets
    if terminal:
        root.addHandler(_terminal(process))
    logging.raiseExceptions = False  # a closed terminal must not stop the process
    logging.captureWarnings(capture=True)
    sys.excepthook = _log_crash


def mask_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace the values of keys that sound like secrets; the last line of defence, not the first."""
    for key in event:
        if any(word in key.lower() for word in SECRET_WORDS):
            event[key] = "***"
    return event


def _file(settings: Settings, process: str) -> logging.Handler:
    folder(settings).mkdir(parents=True, exist_ok=True)
    handler = logging.handlers.RotatingFileHandler(
        folder(settings) / f"{process}.log", maxBytes=LARGEST_FILE, backupCount=KEPT_FILES, encoding="utf-8", delay=True
    )
    last: list[structlog.typing.Processor] = (
        [_TRACES, structlog.processors.JSONRenderer(ensure_ascii=False)]
        if settings.log_format == "json"
        else [
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "logger", "event"]),
        ]
    )
    handler.setFormatter(_formatter(*last))
    return handler


def _terminal(process: str) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(logging.WARNING)
    handler.setFormatter(_formatter(_Short(process)))
    return handler


def _formatter(*last: structlog.typing.Processor) -> logging.Formatter:
    clean = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    return structlog.stdlib.ProcessorFormatter(foreign_pre_chain=_SHARED, processors=[clean, mask_secrets, *last])


class _Short:
    """Renders an event as one short line: time, process, what, and the values."""

    def __init__(self, process: str) -> None:
        self.process = process

    def __call__(self, _logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
        """Return the line."""
        clock = str(event.pop("timestamp", ""))[11:19]
        level = str(event.pop("level", "")).upper()
        what = str(event.pop("event", "")).split("\n", 1)[0]
        event.pop("logger", None)
        error = event.pop("exc_info", None)
        values = " ".join(f"{key}={value}" for key, value in event.items())
        line = f"{clock} {self.process:<10} {level:<7} {what} {values}".rstrip()
        return f"{line}: {_reason(error)}" if error else line


def _reason(error: Any) -> str:
    current = error[1] if isinstance(error, tuple) else error if isinstance(error, BaseException) else sys.exc_info()[1]
    text = str(current).split("\n", 1)[0]
    return f"{type(current).__name__}: {text}" if text else type(current).__name__


def _log_crash(kind: type[BaseException], error: BaseException, tb: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("syncline").critical("The process ends because of an error", exc_info=(kind, error, tb))
