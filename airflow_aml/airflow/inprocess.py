"""Running a pipeline in this process, through the same DAG that Airflow would run.

The Airflow that does it has a home and a metadata database of its own, so it neither needs nor
touches one that is installed here. The database starts as a copy of an empty one that is made once
on this machine.
:func:`prepare_environment` has to be called before anything imports Airflow.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from base64 import urlsafe_b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_aml.definition.compile import HEAD_TASK
from airflow_aml.definition.setup import SetupAction
from airflow_aml.definition.spec import NodeSpec, PipelineSpec
from airflow_aml.errors import AirflowAmlError, UserErrorException, WorkspaceException
from airflow_aml.runtime.views import is_alive
from airflow_aml.workspace import layout
from airflow_aml.workspace.caches import cache_folder
from airflow_aml.workspace.documents import write_json
from airflow_aml.workspace.heartbeat import beating
from airflow_aml.workspace.home import WORKSPACE_VARIABLE
from airflow_aml.workspace.process import Process
from airflow_aml.workspace.runs import StepResult, read_head, results

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun

    from airflow_aml.airflow.telling import Telling
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.published import Frozen

_STEP_LOGGERS = "airflow.task.operators.airflow_aml"
_POD_LINES = "airflow_aml.pods"
_STEP_STATUS = {"success": "Finished", "skipped": "Reused", "failed": "Failed"}


@dataclass(frozen=True)
class StepOutcome:
    """How one step of a run ended (architecture 9). Times are in seconds."""

    name: str
    task_id: str
    status: str
    reason: str = ""
    seconds: float = 0.0
    saved_seconds: float = 0.0
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunOutcome:
    """How a run ended (architecture 9). ``reason``: why it failed."""

    run_id: str
    status: str
    reason: str
    seconds: float
    saved_seconds: float
    steps: list[StepOutcome]


def engine_root(home: Home) -> Path:
    """The local folder that the engine works in: the workspace's, or this machine's cache where
    the workspace is in an object store."""
    return home.root if home.is_local else Path(cache_folder(), "workspaces", home.uuid)


@contextmanager
def airflow_home(workspace: Path, tell: Callable[[str], None]) -> Iterator[Path]:
    """An Airflow home for one run, in the environment of this process; removed at the end.

    Args:
        tell: hears what takes long.

    Raises:
        AirflowAmlError: Airflow is imported already, so that it would use another home.
        WorkspaceException: the home cannot be made.
    """
    if "airflow.settings" in sys.modules:
        raise AirflowAmlError("Airflow was imported before its home for this run was made.")
    engine = workspace / "engine"
    home = engine / f"run-{os.uname().nodename}-{os.getpid()}-{time.time_ns():x}"
    empty = Path(cache_folder(), "airflow", f"empty-{version('apache-airflow-core')}.db")
    _remove_left(engine)
    try:
        (home / "dags").mkdir(parents=True)
        if empty.exists():
            shutil.copyfile(empty, home / "airflow.db")
    except OSError as error:
        raise WorkspaceException(
            f"the run's own Airflow has no place here: {error.strerror}.",
            where=str(engine),
            hint=f"Set {WORKSPACE_VARIABLE} to a folder that can be written.",
        ) from error
    before = dict(os.environ)
    os.environ.update(_settings(home, before))
    try:
        if not empty.exists():
            tell("airflow | makes an empty database, once on this machine, in half a minute or so")
            _make_database(home, empty)
        tell("airflow | starts in this process, which takes some seconds")
        yield home
    finally:
        os.environ.clear()
        os.environ.update(before)
        shutil.rmtree(home, ignore_errors=True)


def _remove_left(engine: Path) -> None:
    """Removes the homes of runs of this machine whose process was killed."""
    for home in engine.glob(f"run-{os.uname().nodename}-*-*"):
        pid = home.name.rsplit("-", 2)[1]
        if not is_alive(int(pid) if pid.isdigit() else None):
            shutil.rmtree(home, ignore_errors=True)


def _settings(home: Path, environ: Mapping[str, str]) -> dict[str, str]:
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        # A step that waits keeps its trigger in the database, encrypted; the database ends with us.
        "AIRFLOW__CORE__FERNET_KEY": urlsafe_b64encode(os.urandom(32)).decode(),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}?timeout=60",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": str(home / "bundles"),
        # The steps' own lines, and nothing of the machinery.
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
        "AIRFLOW__LOGGING__NAMESPACE_LEVELS": (
            f"{_STEP_LOGGERS}=INFO {_POD_LINES}=INFO py.warnings=ERROR"
        ),
    }
    config = Path(environ.get("AIRFLOW_HOME", "~/airflow")).expanduser() / "airflow.cfg"
    if "AIRFLOW_CONFIG" not in environ and config.exists():
        settings["AIRFLOW_CONFIG"] = str(config)
    return settings


def _make_database(home: Path, empty: Path) -> None:
    from airflow.utils.db import initdb

    initdb()
    from airflow import settings

    assert settings.engine is not None
    settings.engine.dispose()
    temporary = empty.with_suffix(f".{os.getpid()}")
    with suppress(OSError):  # then the next run makes one again
        empty.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(home / "airflow.db", temporary)
        temporary.replace(empty)


def run_pipeline(
    spec: PipelineSpec,
    *,
    dag_id: str,
    folder: str,
    parameters: Mapping[str, Any],
    settings: Mapping[str, Any],
    setup: Sequence[SetupAction] = (),
    tell: Callable[[str], None],
    run_after: datetime | None = None,
    frozen: Frozen | None = None,
) -> RunOutcome:
    """Runs the pipeline to its end. Only inside :func:`airflow_home`.

    Args:
        tell: takes the run's log, line by line.
        run_after: the run's moment, from which Airflow makes its name; now by default.
        frozen: what a published pipeline goes by instead of its file's folders.

    Raises:
        UserErrorException: a parameter's value is none that Airflow takes.
    """
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.sdk.exceptions import ParamValidationError

    from airflow_aml.airflow import taskapi
    from airflow_aml.airflow.factory import build_dag
    from airflow_aml.airflow.overlap import overlapping
    from airflow_aml.airflow.settings import open_workspace
    from airflow_aml.airflow.telling import Telling

    named = Counter(node.name for node in spec.nodes)
    names = {node.id: node.name if named[node.name] == 1 else node.id for node in spec.nodes}
    telling = Telling(names, tell)
    with telling.listening():
        dag = build_dag(
            spec, dag_id=dag_id, folder=folder, settings=settings, setup=setup, frozen=frozen
        )
        DagBundlesManager().sync_bundles_to_db()  # type: ignore[no-untyped-call]
        bag = DagBag(collect_dags=False, bundle_name="dags-folder")
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)
        taskapi.prepare()
        home, moment = open_workspace(spec.workspace), run_after or datetime.now(UTC)
        started = time.monotonic()
        try:
            with overlapping(dag, telling), _noted(home, dag_id, moment):
                # The run's name holds nothing but its moment when there is a logical date too.
                run = dag.test(run_conf=dict(parameters), run_after=moment, logical_date=moment)
        except ParamValidationError as error:
            raise UserErrorException(str(error).partition("\n")[0]) from error
    seconds = time.monotonic() - started
    return _outcome(spec, run, home, telling, seconds)


def runner_file(home: Home, pipeline_run_id: str) -> Path:
    """What tells which process runs that run, for as long as it does."""
    return engine_root(home) / "running" / f"{pipeline_run_id}.json"


@contextmanager
def _noted(home: Home, dag_id: str, moment: datetime) -> Iterator[None]:
    """Inside, others can see that this process runs the run, or is gone."""
    run_id = layout.pipeline_run_id(home.uuid, dag_id, f"manual__{moment.isoformat()}")
    note = runner_file(home, run_id)
    note.parent.mkdir(parents=True, exist_ok=True)
    write_json(note, asdict(Process.this()), durable=False)
    try:
        with beating(home, run_id):
            yield
    finally:
        note.unlink(missing_ok=True)


def _outcome(
    spec: PipelineSpec, run: DagRun, home: Home, telling: Telling, seconds: float
) -> RunOutcome:
    run_id = layout.pipeline_run_id(home.uuid, run.dag_id, run.run_id)
    head = read_head(home, run_id)
    known = {each.task_id: each for each in results(home, head)} if head else {}
    tasks = run.get_task_instances()
    states = {ti.task_id: str(ti.state) for ti in tasks}
    durations = {ti.task_id: ti.duration or 0.0 for ti in tasks}
    states.update(dict.fromkeys(telling.refused, "refused"))
    steps: dict[str, StepOutcome] = {}
    for node in spec.nodes:
        step = _step_outcome(node, states.get(node.id, ""), known.get(node.id))
        if step.status == "Failed" and not step.seconds:  # it left no report of its own
            step = replace(step, seconds=round(durations.get(node.id, 0.0), 3))
        reason = step.reason or telling.errors.get(node.id, "")
        if not reason and step.status == "NotStarted":
            reason = _why_not_started([steps[name] for name in node.upstream])
        steps[node.id] = replace(step, reason=reason)
    saved = round(sum(step.saved_seconds for step in steps.values()), 3)
    if str(run.state) == "success":
        return RunOutcome(run_id, "Finished", "", round(seconds, 3), saved, [*steps.values()])
    reasons = [each.reason for each in steps.values() if each.status == "Failed"]
    reason = "; ".join(dict.fromkeys(text.partition("\n")[0] for text in reasons))
    reason = telling.errors.get(HEAD_TASK) or reason
    return RunOutcome(run_id, "Failed", reason, round(seconds, 3), saved, [*steps.values()])


def _why_not_started(upstream: Sequence[StepOutcome]) -> str:
    words = {"Failed": "failed", "NotStarted": "was not started"}
    for step in upstream:
        if step.status in words:
            return f"depends on {step.name!r}, which {words[step.status]}"
    return "the run could not be planned"


def _step_outcome(node: NodeSpec, state: str, result: StepResult | None) -> StepOutcome:
    """Airflow's word on how it ended, the workspace's on everything else."""
    status = _STEP_STATUS.get(state, "NotStarted")
    if result is None:
        return StepOutcome(node.name, node.id, status)
    if status == "Finished":  # a step that only published its earlier result again was started
        status = result.status
    return StepOutcome(
        node.name,
        node.id,
        status,
        result.reason,
        result.seconds,
        result.saved_seconds,
        dict(result.outputs),
    )
