"""How far a step's earlier results may stand in for a run, beyond v1's ``allow_reuse``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Dict, Iterable, Mapping, Optional, Union

from airflow_aml.definition.spec import ReuseSpec
from airflow_aml.errors import PipelineDefinitionError, PipelineTypeError

_SCOPES = ("workspace", "pipeline")


class ReusePolicy:
    """What counts when an earlier result of a step is looked for.

    Args:
        max_age: an older result is not reused; a ``timedelta`` or seconds.
        ignore: arguments that do not count: a flag (``"--verbose"``, with the value that follows
            it), or the name of a pipeline parameter or of a ``params`` entry.
        extra: further values that count: texts, numbers, lists and dicts of them. For what a step
            depends on and nobody can see, like the version of a model behind a web service.
        scope: ``workspace`` shares results among all pipelines; ``pipeline`` does not.

    Raises:
        PipelineTypeError, PipelineDefinitionError: a value that means nothing.
    """

    def __init__(
        self,
        max_age: Optional[Union[timedelta, float]] = None,
        ignore: Iterable[str] = (),
        extra: Optional[Mapping[str, Any]] = None,
        scope: str = "workspace",
    ):
        if isinstance(ignore, str):
            raise PipelineTypeError(f"ignore takes a list of names, not the text {ignore!r}.")
        if scope not in _SCOPES:
            raise PipelineDefinitionError(
                f"scope must be {' or '.join(map(repr, _SCOPES))}, not {scope!r}."
            )
        self.spec = ReuseSpec(
            max_age=_seconds(max_age),
            ignore=tuple(map(str, ignore)),
            extra=_plain(extra or {}),
            scope=scope,
        )


def _seconds(value: Any) -> Optional[float]:
    if value is None:
        return None
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise PipelineTypeError(f"max_age takes a timedelta or seconds, not {value!r}.")
    if not value > 0:
        raise PipelineDefinitionError(f"max_age must be more than nothing, not {value!r}.")
    return float(value)


def _plain(extra: Any) -> Dict[str, Any]:
    import json

    try:
        document = json.loads(json.dumps(extra, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise PipelineTypeError(f"extra takes what JSON can hold: {error}.") from None
    if not isinstance(document, dict):
        raise PipelineTypeError(f"extra takes a dict, not {extra!r}.")
    return document
