"""Recorded transformations, carried out on files or on a table."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence

from airflow_aml.definition.data.expressions import evaluate
from airflow_aml.definition.data.files import SourceFile
from airflow_aml.definition.data.model import Operation
from airflow_aml.definition.data.near import near
from airflow_aml.errors import UserErrorException


def apply_to_files(
    files: Sequence[SourceFile], operations: Sequence[Operation]
) -> List[SourceFile]:
    """The files that are left after all operations."""
    result = list(files)
    for operation in operations:
        chosen = operation.arguments
        if operation.name == "filter":
            document = chosen["expression"]
            result = [each for each in result if evaluate(document, _file_values(each))]
        elif operation.name == "take":
            result = result[: chosen["count"]]
        elif operation.name == "skip":
            result = result[chosen["count"] :]
        elif operation.name in ("take_sample", "random_split"):
            kept = _draw(len(result), chosen)
            result = [each for each, keep in zip(result, kept) if keep]
        else:
            raise _unknown(operation)
    return result


def _file_values(file: SourceFile) -> Callable[[str], Any]:
    def get(name: str) -> Any:
        if name in file.partitions:
            return file.partitions[name]
        if name == "Size":
            return file.size
        if name == "Path":
            return file.shown
        raise _no_column(name, [*file.partitions, "Path", "Size"])

    return get


def _draw(count: int, arguments: Mapping[str, Any]) -> List[bool]:
    """Which records a sample or a part of a split has; two parts are each other's complement."""
    from random import Random

    generator = Random(arguments["seed"])  # noqa: S311 - a sample, not a secret
    share = arguments["share"]
    first = [generator.random() < share for _ in range(count)]
    return first if arguments.get("part", 1) == 1 else [not each for each in first]


def row_limit(operations: Sequence[Operation]) -> Optional[int]:
    """How many rows are enough for what comes first: a ``take``, or a ``skip`` and then a take."""
    skipped = 0
    for operation in operations:
        if operation.name == "take":
            return skipped + int(operation.arguments["count"])
        if operation.name == "skip":
            skipped += int(operation.arguments["count"])
        elif operation.name not in ("keep_columns", "drop_columns", "timestamps"):
            return None
    return None


def apply_to_frame(frame: Any, operations: Sequence[Operation]) -> Any:
    """The table after all operations.

    Raises:
        UserErrorException: a column is not there.
    """
    times: Dict[str, Any] = {}
    for operation in operations:
        if operation.name == "timestamps":
            times = dict(operation.arguments)
            check_columns(frame, [name for name in times.values() if name])
            continue
        apply = _FRAME.get(operation.name)
        if apply is None:
            raise _unknown(operation)
        frame = apply(frame, {**operation.arguments, "times": times})
    return frame.reset_index(drop=True)


def _keep(frame: Any, arguments: Mapping[str, Any]) -> Any:
    check_columns(frame, arguments["columns"])
    wanted = set(arguments["columns"])
    return frame[[name for name in frame.columns if name in wanted]]


def _drop(frame: Any, arguments: Mapping[str, Any]) -> Any:
    check_columns(frame, arguments["columns"])
    return frame.drop(columns=arguments["columns"])


def _filter(frame: Any, arguments: Mapping[str, Any]) -> Any:
    def get(name: str) -> Any:
        check_columns(frame, [name])
        return frame[name]

    return frame[evaluate(arguments["expression"], get)]


def _sample(frame: Any, arguments: Mapping[str, Any]) -> Any:
    return frame[_draw(len(frame), arguments)]


def _between(frame: Any, arguments: Mapping[str, Any]) -> Any:
    times = arguments["times"]
    name = times.get("timestamp") or times.get("partition_timestamp")
    if not name:
        raise no_timestamp()
    check_columns(frame, [name])
    column = frame[name]
    start, end = _moment(arguments.get("start"), column), _moment(arguments.get("end"), column)
    if "seconds" in arguments:
        now = datetime.now(column.dt.tz) if hasattr(column, "dt") else datetime.now()  # noqa: DTZ005
        start = now - timedelta(seconds=arguments["seconds"])
    kept = column.notna()
    closed = arguments.get("include_boundary", True)
    if start is not None:
        kept &= (column >= start) if closed else (column > start)
    if end is not None:
        kept &= (column <= end) if closed else (column < end)
    return frame[kept]


def _moment(text: Optional[str], column: Any) -> Optional[datetime]:
    """A recorded moment as the column has it: in its zone, or without one."""
    if text is None:
        return None
    moment = datetime.fromisoformat(text)
    zone = getattr(getattr(column, "dt", None), "tz", None)
    if moment.tzinfo is None and zone is not None:
        return moment.replace(tzinfo=zone)
    if moment.tzinfo is not None and zone is None:
        from datetime import timezone

        return moment.astimezone(timezone.utc).replace(tzinfo=None)
    return moment


_FRAME: Mapping[str, Callable[[Any, Mapping[str, Any]], Any]] = {
    "keep_columns": _keep,
    "drop_columns": _drop,
    "filter": _filter,
    "take": lambda frame, arguments: frame.head(arguments["count"]),
    "skip": lambda frame, arguments: frame.iloc[arguments["count"] :],
    "take_sample": _sample,
    "random_split": _sample,
    "time": _between,
}


def check_columns(frame: Any, names: Iterable[str], where: Optional[str] = None) -> None:
    """Refuses names that a table has no column of.

    Raises:
        UserErrorException: with names like the first such one.
    """
    for name in names:
        if name not in frame.columns:
            raise _no_column(name, [str(each) for each in frame.columns], where)


def _no_column(name: str, known: Sequence[str], where: Optional[str] = None) -> UserErrorException:
    return UserErrorException(
        f"the dataset has no column {name!r}.", where=where, hint=near(name, known)
    )


def no_timestamp() -> UserErrorException:
    """The error of a time filter on a dataset without timestamp columns."""
    return UserErrorException(
        "the dataset has no timestamp column.",
        hint="Call with_timestamp_columns(timestamp='column') before filtering by time.",
    )


def _unknown(operation: Operation) -> UserErrorException:
    return UserErrorException(
        f"the recorded transformation {operation.name!r} cannot be carried out here.",
        hint="It is of a later release, or of the other kind of dataset.",
    )
