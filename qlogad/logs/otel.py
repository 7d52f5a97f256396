"""OpenTelemetry logs: OTLP in JSON, a request a line, as the collector's file exporter writes them.  OpenTelemetry specification, OTLP 1.

    {"resourceLogs":[{"resource":{"attributes":[...]},"scopeLogs":[{"scope":{...},"logRecords":[{"timeUnixNano":"...","body":{...}}]}]}]}

A line can hold many events, all under its number. Fields are those of a log record, `attributes.KEY`, `resource.KEY` and `scope`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from qlogad import documents
from qlogad.errors import DataError
from qlogad.logs.dataset import Dataset, File, Intake, RawLine
from qlogad.logs.reading.layout import Field, Layout
from qlogad.logs.reading.line_files import Files, LineFiles
from qlogad.logs.reading.mask import Mask
from qlogad.logs.reading.masks import GENERAL

__all__ = ["Otel"]

_TEMPLATE = "log.record.template"  # what the collector's drain processor writes
_SEVERITIES = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL")  # four numbers each


@dataclass(frozen=True)
class Otel(LineFiles, Dataset):
    """Log records of OTLP requests, or one record a line; sessions are traces unless a key says otherwise."""

    path: Files  # the exported file
    labels: File | None = None  # a table of sessions and labels
    session: Field = "traceId"  # a field: "attributes.session.id", "resource.service.name"
    label: Field = None  # a field that is a label: "attributes.anomaly"
    events: Literal["message", "template"] = (
        "message"  # "template": log.record.template, where there is one, is the event as it stands
    )

    def __post_init__(self) -> None:
        documents.enforce(self, DataError)
        if self.events == "template":
            object.__setattr__(self, "parsed", True)
        else:
            object.__setattr__(self, "masks", tuple(GENERAL.items()))

    @property
    def layout(self) -> Layout:
        """Of the fields of one record."""
        return Layout(
            syntax="json",
            time=("timeUnixNano", "observedTimeUnixNano"),
            time_format="ns",
            level="level",
            component=("resource.service.name", "scope"),
            message="message",
            session=self.session,
            label=self.label,
        ).complete("dataset 'otel'")

    def unfolded(self, lines: Iterator[RawLine], intake: Intake) -> Iterator[RawLine]:
        """The records in the requests of a file, each as a line of its own."""
        mask = Mask(tuple(GENERAL.items())) if self.events == "template" else None
        for line in lines:
            try:
                request = json.loads(line.text)
            except (ValueError, RecursionError):
                request = None
            records = list(_records(request)) if isinstance(request, dict) else None
            if records is None:
                yield line  # is set aside
                continue
            intake.records -= len(records) - 1  # lines are counted, not events
            if not records:
                intake.records -= 1
                intake.blank += 1
            for record in records:
                template = record["attributes"].get(_TEMPLATE)
                if mask is not None and record["message"] is not None:
                    record["message"] = template if isinstance(template, str) else mask(record["message"])[0]
                yield line._replace(text=json.dumps(record))


def _records(request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The records of a request with all that is said of them."""
    if "resourceLogs" not in request:
        if "body" in request or "timeUnixNano" in request:
            yield _flat(request, {}, "")
        return
    for resource in _list(request["resourceLogs"]):
        about = _attributes(_table(resource.get("resource")).get("attributes"))
        for scope in _list(resource.get("scopeLogs")):
            name = _table(scope.get("scope")).get("name")
            for record in _list(scope.get("logRecords")):
                yield _flat(record, about, name if isinstance(name, str) else "")


def _flat(record: Mapping[str, Any], resource: Mapping[str, Any], scope: str) -> dict[str, Any]:
    number = record.get("severityNumber")
    level = record.get("severityText") or (_SEVERITIES[(number - 1) // 4] if isinstance(number, int) and 1 <= number <= 24 else "")
    body = _value(record.get("body"))
    return {
        **{key: value for key, value in record.items() if isinstance(value, (str, int, float)) and value != ""},
        "level": level,
        "message": body if body is None or isinstance(body, str) else json.dumps(body, ensure_ascii=False),
        "attributes": _attributes(record.get("attributes")),
        "resource": resource,
        "scope": scope,
    }


def _attributes(pairs: Any) -> dict[str, Any]:
    return {str(pair.get("key")): _value(pair.get("value")) for pair in _list(pairs)}


def _value(value: Any) -> Any:
    """The value in an AnyValue: {"stringValue": "a"} is "a"."""
    if not isinstance(value, dict):
        return value
    if "kvlistValue" in value:
        return _attributes(_table(value["kvlistValue"]).get("values"))
    if "arrayValue" in value:
        return [_value(one) for one in _list(_table(value["arrayValue"]).get("values"))]
    return next(iter(value.values()), None)


def _list(value: Any) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
