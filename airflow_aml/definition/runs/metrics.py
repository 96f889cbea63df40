"""Logging: metrics and images, as v1's scripts call it (reference 1.1)."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, MappingView
from typing import Any, Dict, Mapping, Optional

from airflow_aml.definition.names import LONGEST_NAME
from airflow_aml.definition.runs.recorded import Recorded
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.journal import Note, metrics_of


class Metrics(Recorded):
    """The calls that log."""

    def log(self, name: str, value: Any, description: str = "", step: Optional[int] = None) -> None:
        """Logs a number or a text; of a name that is logged again the values are a series.

        Args:
            value: also a scalar of numpy, torch and the like; NaN and infinity are numbers.
            step: what the series is plotted over, a whole number.

        Raises:
            UserErrorException: the value is a list, or the step no number.
        """
        note: Note = {"metric": _name(name), "kind": "scalar", "value": _scalar(name, value)}
        if step is not None:
            note["step"] = _step(name, step)
        if description:
            note["about"] = description
        self._note(note)

    def log_list(self, name: str, value: Any, description: str = "") -> None:
        """Logs a list of values, added to the list of that name."""
        if isinstance(value, (str, bytes, Mapping)) or not hasattr(value, "__iter__"):
            raise UserErrorException(
                f"log_list takes a list, not {value!r}.",
                where=f"metric {name!r}",
                hint="Use run.log for one value.",
            )
        self._metric("list", name, list(value), description)

    def log_row(self, name: str, description: Optional[str] = None, **kwargs: Any) -> None:
        """Logs one row of a table: ``log_row("epochs", loss=0.1, accuracy=0.9)``.

        Raises:
            UserErrorException: there is no column, or one is a generator.
        """
        if not kwargs:
            raise UserErrorException(
                "log_row needs at least one column.",
                where=f"metric {name!r}",
                hint='Write run.log_row("name", column=value).',
            )
        self._metric("row", name, _columns(name, kwargs), description or "")

    def log_table(self, name: str, value: Mapping[str, Any], description: str = "") -> None:
        """Logs a table: column name -> values.

        Raises:
            UserErrorException: it is no dict, or a column is a generator.
        """
        if not isinstance(value, Mapping):
            raise UserErrorException(
                f"log_table takes a dict of columns, not {type(value).__name__}.",
                where=f"metric {name!r}",
            )
        self._metric("table", name, _columns(name, value), description)

    def log_image(
        self,
        name: str,
        path: Optional[str] = None,
        plot: Any = None,
        description: str = "",
    ) -> None:
        """Logs a picture: a file, or a matplotlib figure (or ``pyplot``), which is saved as PNG.

        Raises:
            UserErrorException: neither or both are given, there is no such file, or no figure.
        """
        if (path is None) == (plot is None):
            raise UserErrorException(
                "log_image takes either path= or plot=.", where=f"image {name!r}"
            )
        if plot is not None and not hasattr(plot, "savefig"):
            raise UserErrorException(
                f"plot= is a figure, which has a savefig, not a {type(plot).__name__}.",
                where=f"image {name!r}",
                hint="Give the path of a picture as path=.",
            )
        if path is not None:
            if not os.path.isfile(path):
                raise UserErrorException(f"there is no file {path!r}.", where=f"image {name!r}")
            kept = _file_name(_name(name), os.path.splitext(path)[1] or ".png")
            self._add(kept, path)
        else:
            kept = _file_name(_name(name), ".png")
            import tempfile  # most scripts never need it

            with tempfile.TemporaryDirectory() as folder:
                drawn = os.path.join(folder, "figure.png")
                plot.savefig(drawn)
                self._add(kept, drawn)
        self._metric("image", name, kept, description)

    def log_confusion_matrix(self, name: str, value: Any, description: str = "") -> None:
        """Logs a confusion matrix in v1's form: ``{"schema_type", "schema_version", "data"}``."""
        self._metric("confusion_matrix", name, _chart(name, value), description)

    def log_accuracy_table(self, name: str, value: Any, description: str = "") -> None:
        """Logs an accuracy table in v1's form."""
        self._metric("accuracy_table", name, _chart(name, value), description)

    def log_residuals(self, name: str, value: Any, description: str = "") -> None:
        """Logs residuals in v1's form."""
        self._metric("residuals", name, _chart(name, value), description)

    def log_predictions(self, name: str, value: Any, description: str = "") -> None:
        """Logs predictions in v1's form."""
        self._metric("predictions", name, _chart(name, value), description)

    def get_metrics(
        self,
        name: Optional[str] = None,
        recursive: bool = False,
        run_type: Optional[str] = None,
        populate: bool = False,
    ) -> Dict[str, Any]:
        """The metrics logged so far, by name.

        A scalar that was logged once is itself, else a list; rows are columns; an image is the
        name of its file.
        """
        return metrics_of(self._notes(), name)

    def _metric(self, kind: str, name: str, value: Any, description: str) -> None:
        note: Note = {"metric": _name(name), "kind": kind, "value": value}
        if description:
            note["about"] = description
        self._note(note)


def _name(name: Any) -> str:
    if not isinstance(name, str) or not name:
        raise UserErrorException(f"a metric's name is a text, not {name!r}.")
    return name


_MANY = (list, tuple, set, range, Mapping, MappingView, Iterator)
_LONGEST_EXTENSION = 16


def _scalar(name: str, value: Any) -> Any:
    if isinstance(value, (int, float, str)):  # nearly always
        return value
    if isinstance(value, _MANY) or _count(value) != 1:
        raise UserErrorException(
            f"log takes one value, not a {type(value).__name__}.",
            where=f"metric {name!r}",
            hint="Use run.log_list for a list, run.log_row or run.log_table for a table.",
        )
    return value.item() if hasattr(value, "item") else value


def _count(value: Any) -> int:
    """How many numbers an array of numpy (``size``) or torch (``numel``) holds."""
    if hasattr(value, "numel"):
        return int(value.numel())
    size = getattr(value, "size", 1)
    return size if isinstance(size, int) else 1


def _step(name: str, step: Any) -> int:
    if isinstance(step, int):
        return step
    try:  # numpy's and torch's numbers, and 3.0
        whole = int(step)
    except (TypeError, ValueError, OverflowError):
        whole = None
    if whole is None or isinstance(step, (str, bytes)) or whole != step:
        raise UserErrorException(
            f"step= is a whole number, not {step!r}.", where=f"metric {name!r}"
        )
    return whole


def _columns(name: str, columns: Mapping[str, Any]) -> Dict[str, Any]:
    for column, value in columns.items():
        if isinstance(value, Iterator):
            raise UserErrorException(
                f"column {column!r} is a {type(value).__name__}, not values.",
                where=f"metric {name!r}",
                hint="Write list(...) around it.",
            )
    return dict(columns)


def _file_name(name: str, extension: str) -> str:
    """What a picture's file is called: of a name that is too long for that, how it begins."""
    plain = "".join(each if each.isalnum() or each in "-_. " else "_" for each in name)
    end = f"_{time.time_ns() // 1000000}{extension[:_LONGEST_EXTENSION]}"
    room = LONGEST_NAME - len(end.encode())
    if len(plain.encode()) > room:
        from zlib import crc32  # else two that begin alike, at the same moment, were one

        end = f"_{crc32(name.encode('utf-8', 'surrogatepass')):08x}{end}"
        plain = plain.encode()[: room - 9].decode(errors="ignore")
    return plain + end


def _chart(name: str, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError as error:
        raise UserErrorException(
            f"the value is not JSON: {error}.", where=f"metric {name!r}"
        ) from error
