"""How a definition reaches whatever runs pipelines, without knowing it.

The same call means two things (architecture 7): while a file is being *loaded* (Airflow parses it,
or ``airflow-aml`` reads it) ``submit`` declares; anywhere else it acts. Which of the two holds is
looked up when the call is made.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional

from airflow_aml.errors import NotServedError

if TYPE_CHECKING:
    from airflow_aml.definition.pipeline import Pipeline
    from airflow_aml.definition.runs.pipelinerun import PipelineRun
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.published import Published

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

    def submit_published(
        self,
        published: Published,
        experiment_name: str,
        parameters: Mapping[str, Any],
        **options: Any,
    ) -> PipelineRun:
        """Runs what was published. Only engines that run anything are asked."""


API_VARIABLE = "AIRFLOW_AML_API_URL"
"""Where a running Airflow's REST API is: with it, ``submit`` starts runs there. ``[aml] api_url``
says the same where it is not set; set and empty it says that there is none."""

_STEP_VARIABLE = "AIRFLOW_AML_ATTEMPT"


@dataclass(frozen=True)
class TaskProgress:
    """One step of a run, as Airflow has it.

    Attributes:
        status: v1's word for a step's run.
        seconds: that its latest try has taken so far.
        tries: how many there were.
    """

    task_id: str
    name: str
    status: str
    seconds: float = 0.0
    tries: int = 0


class RunInAirflow(Protocol):
    """One run of a running Airflow.

    Each call asks Airflow, and waits for a while should it be away.

    Raises:
        AzureMLException: Airflow cannot be reached, or refuses.
    """

    @property
    def url(self) -> str:
        """Its page in Airflow's UI."""

    def status(self) -> str:
        """v1's word for it; empty if Airflow has no such run."""

    def steps(self) -> List[TaskProgress]:
        """Its tasks, as Airflow lists them."""

    def step(self, task_id: str) -> Optional[TaskProgress]:
        """One of its tasks."""

    def why(self, task: TaskProgress) -> str:
        """What the log of a task's last try says that went wrong."""

    def cancel(self) -> None:
        """Ends it and waits until Airflow says that nothing of it goes on."""


_RUNS: ContextVar[Optional[List[PipelineRun]]] = ContextVar("airflow_aml_runs", default=None)


@contextmanager
def noting_runs() -> Iterator[List[PipelineRun]]:
    """While this is open, every run that is begun is noted in the list that it gives."""
    runs: List[PipelineRun] = []
    token = _RUNS.set(runs)
    try:
        yield runs
    finally:
        _RUNS.reset(token)


def note_run(run: PipelineRun) -> PipelineRun:
    """Notes a run where somebody wants to know."""
    runs = _RUNS.get()
    if runs is not None:
        runs.append(run)
    return run


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
    """The engine that serves a call made now: the loading one, else one that really runs.

    Raises:
        NotServedError: a step's own process would have to run it, and ends before it.
    """
    found = declaring_engine()
    if found is None and _STEP_VARIABLE in os.environ and not api_url():
        raise NotServedError(
            "submit begins no run inside a step: the run would end with the step.",
            hint="Run.get_context().submit_child(ScriptRunConfig(...)) runs a script there.",
        )
    if found is None:
        found = import_module("airflow_aml.airflow.engine").acting_engine()
    result: Engine = found
    return result


def api_url() -> str:
    """Where the Airflow is that this program works with; empty for nowhere."""
    text = os.environ.get(API_VARIABLE)
    if text is not None:
        return text
    from airflow_aml.workspace.configuration import setting

    return setting(os.environ, "api_url")


def works_with_airflow() -> bool:
    """Whether this program knows an Airflow. A step's own process goes by the workspace alone."""
    return _STEP_VARIABLE not in os.environ and bool(api_url())


def run_in_airflow(dag_id: str, run_id: str) -> RunInAirflow:
    """The run of that name in the Airflow that this program works with."""
    found: RunInAirflow = import_module("airflow_aml.airflow.remote").run_of(dag_id, run_id)
    return found


def cancel_here(home: Home, run_id: str) -> bool:
    """Ends a run without Airflow, where a program of this host has submitted it; else False."""
    found: bool = import_module("airflow_aml.airflow.engine").cancel_here(home, run_id)
    return found


def lives(home: Home, run_id: str) -> Optional[bool]:
    """Whether the process lives that runs it without Airflow; None where this one cannot tell.

    On its own host that is certain; on others it is by the signs of life that it gives.
    """
    if _STEP_VARIABLE in os.environ:
        return None
    from airflow_aml.workspace.heartbeat import is_silent

    try:
        found: Optional[bool] = import_module("airflow_aml.airflow.engine").is_alive(home, run_id)
    except ImportError:  # a Python that has no Airflow
        found = None
    if found is None:
        silent = is_silent(home, run_id)
        found = None if silent is None else not silent
    return found


def option_values(options: Dict[str, Any]) -> Dict[str, Any]:
    """The options that say something."""
    return {key: value for key, value in options.items() if value not in (None, False, {}, ())}
