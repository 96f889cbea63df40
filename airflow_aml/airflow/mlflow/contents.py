"""What a step's record is in MLflow's words: metrics, params, tags and documents."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from airflow_aml.runtime.arguments import Text
from airflow_aml.runtime.job import JobArgument
from airflow_aml.workspace.journal import Note, metrics_of, properties_of, tags_of

_NOT_ALLOWED = re.compile(r"[^/\w.\- :]")
_LONGEST_NAME = 250
_LONGEST_VALUE = 5000


@dataclass(frozen=True)
class Point:
    """One value of a metric."""

    name: str
    value: float
    milliseconds: int
    step: int


@dataclass
class Contents:
    """What notes about one run say.

    Attributes:
        documents: path of an artifact -> tables, rows and charts as JSON.
        children: id of a run below this one -> its name.
        models: name and version of what the run registered.
    """

    points: list[Point] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    documents: dict[str, Any] = field(default_factory=dict)
    children: dict[str, str] = field(default_factory=dict)
    models: list[tuple[str, int]] = field(default_factory=list)
    status: str = ""


def contents_of(notes: Sequence[Note]) -> Contents:
    """What these notes about one run say, as MLflow keeps it.

    Numbers are metrics, texts are tags; a column of rows is a metric of its own. Rows, tables and
    charts are documents beside.
    """
    found = Contents()
    counts: dict[str, int] = {}
    documents: set[str] = set()
    for note in notes:
        if "metric" in note:
            kind, name = note.get("kind"), str(note["metric"])
            if kind not in ("scalar", "list", "image"):
                documents.add(name)
            if kind == "scalar" and isinstance(note.get("value"), str):
                found.tags[plain(name)] = str(note["value"])[:_LONGEST_VALUE]
            found.points.extend(_points(note, counts))
        elif "child" in note:
            found.children[str(note["child"])] = str(note.get("value", ""))
        elif "model" in note:
            found.models.append((str(note["model"]), int(note["value"])))
        elif "end" in note:
            found.status = "FAILED" if note["end"] == "Failed" else "FINISHED"
    values = metrics_of(notes) if documents else {}
    found.documents = {f"metrics/{plain(name)}.json": values[name] for name in sorted(documents)}
    properties = {f"property.{name}": value for name, value in properties_of(notes).items()}
    for name, value in {**properties, **tags_of(notes)}.items():
        found.tags[plain(name)] = (value or "")[:_LONGEST_VALUE]
    return found


def params_of(arguments: Iterable[JobArgument], parameters: Mapping[str, Any]) -> dict[str, str]:
    """The pipeline parameters that a step gets, and the values after names on its command line."""
    found = {plain(name): str(value)[:_LONGEST_VALUE] for name, value in parameters.items()}
    name = ""
    for argument in arguments:
        text = argument.value if isinstance(argument, Text) else ""
        if text.startswith("--"):
            name, _, text = text[2:].partition("=")
        if name and text:
            found.setdefault(plain(name), text[:_LONGEST_VALUE])
            name = ""
    return found


def plain(name: str) -> str:
    """A name that MLflow takes: of other letters and signs than words have, none."""
    cleaned = _NOT_ALLOWED.sub("_", name)[:_LONGEST_NAME]
    parts = [each for each in cleaned.split("/") if each not in ("", ".", "..")]
    return "/".join(parts) or "_"


def _points(note: Note, counts: dict[str, int]) -> Iterator[Point]:
    kind, value, name = note.get("kind"), note.get("value"), plain(str(note["metric"]))
    if kind == "scalar":
        cells = [(name, value)]
    elif kind == "list" and isinstance(value, list):
        cells = [(name, each) for each in value]
    elif kind == "row" and isinstance(value, dict):
        cells = [(plain(f"{name}/{column}"), cell) for column, cell in value.items()]
    else:
        cells = []
    moment = int(float(note.get("t", 0)) * 1000)
    for key, cell in cells:
        step = counts[key] = counts.get(key, -1) + 1
        # True and false are numbers; one of more than 308 digits is none to MLflow.
        if isinstance(cell, float) or (isinstance(cell, int) and abs(cell) < 1e308):
            given = note.get("step")
            yield Point(key, float(cell), moment, given if isinstance(given, int) else step)
