"""How a definition reaches whatever runs pipelines, without knowing it.

The same call means two things (architecture 7): while a file is being *loaded* (Airflow parses it,
or ``airflow-aml`` reads it) ``submit`` declares; anywhere else it acts. Which of the two holds is
looked up when the call is made.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, Iterator, Mapping, Optional

if TYPE_CHECKING:
    from airflow_aml.definition.pipeline import Pipeline
    from airflow_aml.definition.runs.pipelinerun import PipelineRun

try:
    from typing import Protocol
except ImportError:  # pragma: no cover - Python 3.7 is refused elsewhere, by name
    Protocol = object  # type: ignore[assignment]


class Engine(Protocol):
    """What a definition needs of an engine."""

    def built(self, pipeline: Pipeline) -> None:
        """Hears of every pipeline right after it was built."""

    def submit(
        self,
        pipeline: Pipeline,
        experiment_name: str,
        parameters: Mapping[str, Any],
        **options: Any,
    ) -> PipelineRun:
        """Runs the pipeline, or declares it. Parameters are checked already."""


_ACTIVE: ContextVar[Optional[Engine]] = ContextVar("airflow_aml_engine", default=None)


@contextmanager
def using(engine: Engine) -> Iterator[None]:
    """While this is open, ``engine`` serves all calls of this thread."""
    token = _ACTIVE.set(engine)
    try:
        yield
    finally:
        _ACTIVE.reset(token)


def declaring_engine() -> Optional[Engine]:
    """The engine of the file that is being loaded just now, if one is."""
    engine = _ACTIVE.get()
    if engine is None and "airflow.sdk.definitions._internal.contextmanager" in sys.modules:
        engine = import_module("airflow_aml.airflow.discovery").parsing_engine()
    return engine


def engine() -> Engine:
    """The engine that serves a call made now: the loading one, else one that really runs."""
    found = declaring_engine()
    if found is None:
        found = import_module("airflow_aml.airflow.engine").child_process_engine()
    result: Engine = found
    return result


def option_values(options: Dict[str, Any]) -> Dict[str, Any]:
    """The options that say something."""
    return {key: value for key, value in options.items() if value not in (None, False, {}, ())}
