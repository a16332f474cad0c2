"""The settings of traces; `config` reads them with all others."""

from __future__ import annotations

from dataclasses import dataclass

from webapp.setting_values import Variable, names, share, url


@dataclass(frozen=True)
class Traces:
    """The part of the settings that says where traces are sent, and what of them others are told."""

    otlp_endpoint: str
    trace_share: float
    trace_hosts: tuple[str, ...]


TRACES: tuple[Variable, ...] = (
    Variable(
        "SYNCLINE_OTLP_ENDPOINT",
        "",
        "Where traces are sent, by OTLP over HTTP: http://collector.example.com:4318; /v1/traces is added. What the "
        "receiver wants to know of who sends is in the variable SYNCLINE_OTLP_HEADERS (name=value, several with commas "
        "between). Its network has to be one that connections may reach. Empty: no traces.",
        url("http", "https"),
    ),
    Variable(
        "SYNCLINE_TRACE_SHARE",
        "1",
        "Share of all traces that is sent, from 0 to 1. All processes choose the same ones.",
        share,
    ),
    Variable(
        "SYNCLINE_TRACE_HOSTS",
        "",
        "Hosts of yours that are told which trace a request to them belongs to (the header traceparent), separated by "
        "commas; .example.com stands for all below it. Empty: none.",
        names,
    ),
)
