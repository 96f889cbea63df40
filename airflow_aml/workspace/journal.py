"""A run's journal: metrics, tags and whatever else a script notes, one JSON line each.

A line is an object with the time of its note (``t``, seconds since 1970) and one of

===========  ===========================================================================
key          with
===========  ===========================================================================
``metric``   its name; ``kind``, ``value``, and ``step`` and ``about`` where they were given
``tag``      its name; ``value``, a text or null
``untag``    the name of a tag that is taken away
``property`` its name; ``value``, a text; the first note of a name counts
``call``     the run's display name
``child``    id of a run below this one; ``value``, its name
``ended``    the attempt whose script has ended
``model``    name of a model that was registered; ``value``, its version
``end``      ``Completed`` or ``Failed``, of a child run; ``value``, the error
===========  ===========================================================================

``run`` is in the lines that a script writes about another run than its own: its pipeline run, or a
child run of its own. Each line is one write at the file's end, so any number of processes may note
at once, and what was noted survives the end of whoever noted it. A number may be ``NaN`` or
``Infinity``, which Python's JSON reads.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Mapping, MappingView, Sequence, Set
from typing import Any, Dict, Iterable, Iterator, List, Optional

Note = Dict[str, Any]

JOURNAL = "journal.jsonl"
STREAMS = ("logs/azureml/stdoutlogs.txt", "logs/azureml/stderrlogs.txt")
"""Names of the files of a run with its script's stdout and stderr; v1's."""


class Journal:
    """The file that notes of this process are written to; it is made by the first one."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._descriptor: Optional[int] = None
        self._owner = 0
        self._encode = json.JSONEncoder(ensure_ascii=False, default=_plain).encode

    def note(self, note: Note) -> None:
        """Adds a line.

        Raises:
            OSError: it cannot be written.
        """
        if self._descriptor is None or self._owner != os.getpid():
            self._open()
        note["t"] = time.time()
        data = self._encode(note).encode("utf-8", "backslashreplace") + b"\n"
        assert self._descriptor is not None
        written = os.write(self._descriptor, data)
        while written < len(data):  # a full disk, or a very long line
            written += os.write(self._descriptor, data[written:])

    def close(self) -> None:
        """Lets go of the file; the next note opens it again."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> None:
        os.makedirs(os.path.dirname(self.path), exist_ok=True)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
        self._descriptor = os.open(self.path, flags, 0o644)
        self._owner = os.getpid()


def read_notes(data: bytes) -> Iterator[Note]:
    """The notes of a journal's bytes, in order; a line that was cut off is left out.

    What is no text (half of a surrogate pair) is shown escaped, for no database or terminal takes
    it.
    """
    for line in data.split(b"\n"):
        try:
            note = json.loads(line)
        except ValueError:
            continue
        if isinstance(note, dict):
            yield _readable(note) if b"\\u" in line else note


def _readable(note: Note) -> Note:
    text = json.dumps(note, ensure_ascii=False)
    halves = re.compile("[\ud800-\udfff]")
    found: Note = json.loads(halves.sub(lambda half: f"\\\\u{ord(half.group()):04x}", text))
    return found


def about(notes: Iterable[Note], run_id: Optional[str]) -> List[Note]:
    """The notes about one run; None: about the run that they are written in."""
    return [note for note in notes if note.get("run") == run_id]


def metrics_of(notes: Iterable[Note], name: Optional[str] = None) -> Dict[str, Any]:
    """Metrics as v1's ``get_metrics`` gives them.

    A scalar that was logged once is itself, one that was logged more often is a list; rows become
    columns, each a value or a list; an image is the name of its file.
    """
    series: Dict[str, List[Note]] = {}
    for note in notes:
        metric = note.get("metric")
        if metric is not None and name in (None, metric):
            series.setdefault(metric, []).append(note)
    return {metric: _value(logged) for metric, logged in series.items()}


def _value(logged: List[Note]) -> Any:
    kind, values = logged[-1].get("kind"), [note.get("value") for note in logged]
    if kind == "scalar":
        return _one_or_all(values)
    if kind == "list":
        return [
            item for value in values for item in (value if isinstance(value, list) else [value])
        ]
    if kind == "row":
        columns: Dict[str, List[Any]] = {}
        for value in values:
            for column, cell in (value if isinstance(value, dict) else {}).items():
                columns.setdefault(column, []).append(cell)
        return {column: _one_or_all(cells) for column, cells in columns.items()}
    return values[-1]


def _one_or_all(values: List[Any]) -> Any:
    return values[0] if len(values) == 1 else values


def tags_of(notes: Iterable[Note]) -> Dict[str, Optional[str]]:
    """Tags as they are now."""
    tags: Dict[str, Optional[str]] = {}
    for note in notes:
        if "tag" in note:
            tags[note["tag"]] = note.get("value")
        elif "untag" in note:
            tags.pop(note["untag"], None)
    return tags


def properties_of(notes: Iterable[Note]) -> Dict[str, str]:
    """Properties; what was set once stays."""
    properties: Dict[str, str] = {}
    for note in notes:
        if "property" in note:
            properties.setdefault(note["property"], note.get("value", ""))
    return properties


def _plain(value: Any) -> Any:
    """What JSON has no word for: numbers of other libraries, arrays, and anything else as text."""
    if hasattr(value, "tolist"):  # numpy and torch, scalars and arrays alike
        return value.tolist()
    if hasattr(value, "item"):
        return value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, (Set, Mapping, MappingView, Sequence)):
        return _collected(value)
    try:
        return float(value)  # Decimal, Fraction
    except (TypeError, ValueError):
        return str(value)


def _collected(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):  # which have no order of their own
        return sorted(value, key=repr)
    return dict(value) if isinstance(value, Mapping) else list(value)
