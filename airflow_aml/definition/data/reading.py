"""Files become a table, in the interpreter of whoever asks: pandas, and pyarrow for Parquet."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence

from airflow_aml.definition.data.columns import SAMPLE_ROWS, convert, inferred_type, pandas
from airflow_aml.definition.data.files import SourceFile
from airflow_aml.definition.data.model import Reading
from airflow_aml.definition.data.operations import check_columns
from airflow_aml.errors import UserErrorException

PATH_COLUMN = "Path"

_NATIVE = ("long", "float", "bool")

_ENCODINGS = {
    "utf8": "utf-8-sig",
    "utf8bom": "utf-8-sig",
    "iso88591": "iso-8859-1",
    "latin1": "latin-1",
    "ascii": "ascii",
    "utf16": "utf-16",
    "utf32": "utf-32",
    "windows1252": "cp1252",
}

Opened = Callable[[Sequence[SourceFile]], Any]
"""A context manager: the local paths of files, in their order."""


def python_encoding(name: str) -> str:
    """Python's name for an encoding that v1 knows, or that Python knows.

    Raises:
        UserErrorException: nobody knows it.
    """
    import codecs

    known = _ENCODINGS.get(name.replace("-", "").replace("_", "").lower(), name)
    try:
        codecs.lookup(known)
    except LookupError:
        raise UserErrorException(
            f"the encoding {name!r} is not known.", hint=f"v1 has {', '.join(_ENCODINGS)}."
        ) from None
    return known


def read_table(
    files: Sequence[SourceFile],
    reading: Reading,
    opened: Opened,
    *,
    limit: Optional[int] = None,
    on_error: str = "null",
) -> Any:
    """The records of all files as one DataFrame.

    Args:
        limit: no more rows than so many are wanted; without any the columns are still told.
        on_error: what becomes of a value that is not of its column's type: ``null`` or ``fail``.

    Raises:
        UserErrorException: a file is not what it is said to be; the text names it. Or a type is set
            for a column that is not there.
    """
    pd = pandas()
    reader = _READERS[reading.format](reading.options, on_error)
    frames: List[Any] = []
    rows = 0
    # A later record or file may have columns that the first ones have not.
    partly = limit is not None and reading.format == "json_lines"
    with opened(files) as paths:
        for source, path in zip(files, paths):
            # A format that names its columns in each record tells none without a record.
            wanted = None if limit is None else max(limit, 1) - rows
            if wanted is not None and wanted <= 0:
                partly = True
                break
            frame = reader.read(source, path, wanted)
            if frame is None:
                continue
            _add_columns(frame, source, reading.options)
            frames.append(frame)
            rows += len(frame)
    if not frames:
        return pd.DataFrame()
    frame = frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True, sort=False)
    if not partly:
        check_columns(frame, reading.options.get("types", {}), "set_column_types")
    return frame if limit is None else frame.head(limit)


def _add_columns(frame: Any, source: SourceFile, options: Mapping[str, Any]) -> None:
    for name, value in source.partitions.items():
        frame[name] = value
    if options.get("include_path"):
        frame.insert(0, PATH_COLUMN, source.shown)


class _Delimited:
    """Reads delimited files; headers and types come from the first one that has any."""

    def __init__(self, options: Mapping[str, Any], on_error: str):
        self._options = options
        self._on_error = on_error
        self._header = options.get("header", "same")
        self._names: Optional[List[str]] = None
        self._types: Optional[Dict[str, Any]] = None
        self._encoding = python_encoding(options.get("encoding", "utf8"))

    def read(self, source: SourceFile, path: str, limit: Optional[int]) -> Any:
        pd = pandas()
        first = self._names is None
        has_header = self._header in ("same", "combine") or (self._header == "first" and first)
        try:
            sample = self._parse(path, has_header, SAMPLE_ROWS, text=True)
            names = self._columns(sample, has_header)
            types = self._column_types(sample, names)
            frame = self._parse(path, has_header, limit, text=False, types=types, names=names)
        except pd.errors.EmptyDataError:
            return None
        except pd.errors.ParserError as error:
            raise _unreadable(source, f"it is not a delimited file: {_sentence(error)}") from error
        except pd.errors.ParserWarning as error:
            raise _unreadable(
                source,
                "it is not a delimited file: its rows have more fields than its header",
                "Name every column; a field that holds the separator stands in quotes.",
            ) from error
        except UnicodeError as error:
            raise _unreadable(
                source,
                f"it is not {self._options.get('encoding', 'utf8')} text: {error}",
                "Give its encoding=, or make all files of the dataset one encoding.",
            ) from error
        for name, kind in types.items():
            if name in frame.columns:
                frame[name] = convert(frame[name], kind, self._on_error, source.shown)
        return frame

    def _parse(
        self,
        path: str,
        has_header: bool,
        limit: Optional[int],
        *,
        text: bool,
        types: Optional[Mapping[str, Any]] = None,
        names: Optional[List[str]] = None,
    ) -> Any:
        separator = self._options.get("separator", ",")
        options: Dict[str, Any] = {
            "sep": separator if len(separator) == 1 else _escaped(separator),
            "engine": "c" if len(separator) == 1 else "python",
            "header": 0 if has_header else None,
            "nrows": limit,
            "encoding": self._encoding,
            "keep_default_na": False,
            "na_values": [] if self._options.get("empty_as_string") else [""],
            "skip_blank_lines": True,
            "index_col": False,
        }
        if len(separator) == 1:
            options["low_memory"] = False
        if text:
            options["dtype"] = "object"
        elif types is not None:
            # What pandas reads by itself is much faster than converting texts.
            texts = [n for n, kind in types.items() if kind["type"] not in _NATIVE]
            options["names"] = names
            options["dtype"] = dict.fromkeys(texts, "object")
            if any(kind.get("decimal_mark") for kind in types.values()):
                options["dtype"] = "object"
        _refuse_binary(path, self._encoding)
        _refuse_loss()
        return pandas().read_csv(path, **options)

    def _columns(self, sample: Any, has_header: bool) -> List[str]:
        width = len(sample.columns)
        if self._header == "combine":
            names = [str(name) for name in sample.columns]
        elif self._names is None:
            names = _named(sample.columns) if has_header else _numbered(0, width)
        else:
            names = self._names[:width] + _numbered(len(self._names), width)
        if self._names is None:
            self._names = names
        return names

    def _column_types(self, sample: Any, names: List[str]) -> Dict[str, Any]:
        given: Mapping[str, Any] = self._options.get("types", {})
        types = dict(self._types or {})
        for position, name in enumerate(names):
            if name in given:
                types[name] = given[name]
            elif not self._options.get("infer", True):
                types[name] = {"type": "string"}
            elif name not in types:
                types[name] = inferred_type(list(sample.iloc[:, position]))
        if self._types is None and len(sample):
            self._types = types
        return {name: types[name] for name in names}


class _Parquet:
    def __init__(self, options: Mapping[str, Any], on_error: str):
        self._types: Mapping[str, Any] = options.get("types", {})
        self._on_error = on_error

    def read(self, source: SourceFile, path: str, limit: Optional[int]) -> Any:
        try:
            frame = pandas().read_parquet(path)
        except ImportError as error:
            raise UserErrorException(
                f"reading Parquet needs pyarrow in this interpreter: {_sentence(error)}",
                hint="pip install pyarrow",
            ) from error
        except (ValueError, OSError) as error:
            raise _unreadable(source, f"it is not a Parquet file: {_sentence(error)}") from error
        if limit is not None:
            frame = frame.head(limit)
        return _set_types(frame, self._types, self._on_error, source)


class _JsonLines:
    def __init__(self, options: Mapping[str, Any], on_error: str):
        self._types: Mapping[str, Any] = options.get("types", {})
        self._drop = options.get("invalid_lines", "error") == "drop"
        self._encoding = python_encoding(options.get("encoding", "utf8"))
        self._on_error = on_error

    def read(self, source: SourceFile, path: str, limit: Optional[int]) -> Any:
        records: List[Any] = []
        try:
            for record in self._records(source, path):
                if limit is not None and len(records) >= limit:
                    break
                records.append(record)
        except UnicodeError as error:
            raise _unreadable(source, f"it is not text of its encoding: {error}") from error
        if not records:
            return None
        frame = pandas().DataFrame.from_records(records)
        return _set_types(frame, self._types, self._on_error, source)

    def _records(self, source: SourceFile, path: str) -> Iterator[Dict[str, Any]]:
        with open(path, encoding=self._encoding) as stream:
            for number, line in enumerate(stream, 1):
                if not line.strip():
                    continue
                try:
                    record = json.loads(line.rstrip())
                    if not isinstance(record, dict):
                        raise ValueError("it is no JSON object")
                except ValueError as error:
                    if self._drop:
                        continue
                    raise _unreadable(
                        source,
                        f"line {number} is not a JSON object: {_json_reason(error)}",
                        "invalid_lines='drop' leaves such lines out.",
                    ) from error
                yield record


_READERS: Mapping[str, Any] = {
    "delimited": _Delimited,
    "parquet": _Parquet,
    "json_lines": _JsonLines,
}


def _set_types(frame: Any, types: Mapping[str, Any], on_error: str, source: SourceFile) -> Any:
    for name, kind in types.items():
        if name in frame.columns:
            frame[name] = convert(frame[name], kind, on_error, source.shown)
    return frame


def _named(columns: Sequence[Any]) -> List[str]:
    return [
        f"Column{number}" if str(name).startswith("Unnamed: ") else str(name)
        for number, name in enumerate(columns, 1)
    ]


def _numbered(start: int, stop: int) -> List[str]:
    return [f"Column{number + 1}" for number in range(start, stop)]


def _refuse_binary(path: str, encoding: str) -> None:
    if "16" in encoding or "32" in encoding:
        return
    with open(path, "rb") as stream:
        if b"\0" in stream.read(4096):
            raise pandas().errors.ParserError("it holds bytes that no text has.")


def _refuse_loss() -> None:
    """What pandas leaves out of a row with a mere warning is an error, in this module alone."""
    import warnings

    # For good, not for the one call: that would be a race between threads. A filter that is
    # there already is not added again, but moved to the front.
    warnings.filterwarnings(
        "error", category=pandas().errors.ParserWarning, module=re.escape(__name__)
    )


def _escaped(separator: str) -> str:
    return re.escape(separator)


def _unreadable(source: SourceFile, message: str, hint: Optional[str] = None) -> UserErrorException:
    return UserErrorException(f"{message.rstrip('.')}.", where=source.shown, hint=hint)


def _json_reason(error: ValueError) -> str:
    """What is wrong; the decoder's own words count lines from the one that it was given."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at column {error.colno}"
    return _sentence(error)


def _sentence(error: Exception) -> str:
    return " ".join(str(error).split())
