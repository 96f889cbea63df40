"""Steps of a run in this process that can start at the same time do.

``DAG.test``, which runs the DAG, takes one task after the other: an executor, which it offers
besides, needs an API server of its own. So where several steps wait, each gets a fork of this
process, as LocalExecutor's tasks do, and the run goes on when all of them have ended. A step that
waits alone, as all do in a chain, runs in this process as ever.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow import settings
from airflow.models.taskinstance import TaskInstance
from airflow.sdk.definitions import dag as dags
from airflow.utils.session import create_session
from airflow.utils.state import TaskInstanceState
from asgiref.sync import SyncToAsync
from sqlalchemy import select

from airflow_aml.airflow import taskapi

if TYPE_CHECKING:
    from uuid import UUID

    from airflow.sdk import DAG

    from airflow_aml.airflow.telling import Telling

_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)
_INTERRUPTED = 130
_AT_WORK = (TaskInstanceState.SCHEDULED, TaskInstanceState.QUEUED, TaskInstanceState.RUNNING)


@contextmanager
def overlapping(dag: DAG, telling: Telling) -> Iterator[None]:
    """Inside, ``dag.test()`` starts steps that wait together together.

    Args:
        telling: hears in its process what all of them tell, and whether they failed.
    """
    one_by_one = dags._run_task  # noqa: SLF001 - what DAG.test calls for each task
    waves = _Waves(dag, telling, one_by_one)
    dags._run_task = waves.run  # noqa: SLF001
    try:
        yield
    finally:
        dags._run_task = one_by_one  # noqa: SLF001


class _Waves:
    """Stands for ``_run_task``: asked for one task, it runs all that wait with it."""

    def __init__(self, dag: DAG, telling: Telling, alone: Callable[..., Any]) -> None:
        self._dag = dag
        self._telling = telling
        self._alone = alone
        self._parents: Any = None
        self._done: set[tuple[UUID, int]] = set()

    def run(self, *, ti: TaskInstance, task: Any, run_triggerer: bool = False) -> Any:
        """Runs the task, unless that was done when another of its wave was asked for."""
        if (ti.id, ti.try_number) in self._done:
            return None
        wave = _waiting(ti)
        if len(wave) < 2 or not hasattr(os, "fork"):
            return self._alone(ti=ti, task=task, run_triggerer=run_triggerer)
        self._done.update(wave)
        self._run_all([name for name, _ in wave])
        return None

    def _run_all(self, waiting: Sequence[UUID]) -> None:
        """One fork each, as many at a time as there are processors, but two at least."""
        left, running = list(waiting), dict[int, int]()
        try:
            while left or running:
                while left and len(running) < max(2, os.cpu_count() or 1):
                    process, answer = self._fork(left.pop(0))
                    running[process] = answer
                process, _ = os.wait()
                if process in running:
                    self._hear(running.pop(process))
        except KeyboardInterrupt:
            self._interrupt(running)
            raise
        self._fail_lost(waiting)

    def _fork(self, ti_id: UUID) -> tuple[int, int]:
        sys.stdout.flush()
        sys.stderr.flush()
        answer, tell = os.pipe()
        parent = os.getpid()
        process = os.fork()
        if process:
            os.close(tell)
            return process, answer
        code = 1
        try:
            os.close(answer)
            os.setpgid(0, 0)  # Ctrl-C comes once, from the parent, not from the terminal as well
            _die_with(parent)
            self._in_fork(ti_id, tell)
            code = 0
        except KeyboardInterrupt:
            code = _INTERRUPTED
        except Exception as error:  # noqa: BLE001 - told here, or nowhere
            self._telling.line("error", "the step's process failed", error)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)  # nothing of the parent's is put away here
        raise AssertionError

    def _in_fork(self, ti_id: UUID, tell: int) -> None:
        # The parent's session stays as it is, unclosed: its connection is the parent's.
        settings.Session.registry.clear()  # type: ignore[union-attr]
        self._parents = taskapi.prepare_fork()
        # The parent's thread for it, if a step has waited there, is not in this process.
        SyncToAsync.single_thread_executor = ThreadPoolExecutor(max_workers=1)
        self._telling.errors.clear()
        self._telling.refused.clear()
        ti = settings.Session().get(TaskInstance, ti_id)  # type: ignore[misc]
        try:
            self._alone(ti=ti, task=self._dag.task_dict[ti.task_id], run_triggerer=True)
        finally:
            told = {"errors": self._telling.errors, "refused": sorted(self._telling.refused)}
            with os.fdopen(tell, "w", encoding="utf-8") as stream:
                json.dump(told, stream)

    def _hear(self, answer: int) -> None:
        with os.fdopen(answer, encoding="utf-8") as stream:
            text = stream.read()
        if text:  # else it was killed, and Airflow's database knows
            told = json.loads(text)
            self._telling.errors.update(told["errors"])
            self._telling.refused.update(told["refused"])

    def _fail_lost(self, waiting: Sequence[UUID]) -> None:
        """A step whose process was killed has failed: nobody else says so."""
        with create_session(scoped=False) as session:
            for ti in session.scalars(select(TaskInstance).where(TaskInstance.id.in_(waiting))):
                if ti.state in _AT_WORK:
                    ti.state = TaskInstanceState.FAILED
                    self._telling.errors[ti.task_id] = "the step's process was lost"
                    self._telling.line("error", f"the process of {ti.task_id!r} was lost")
                    _mark_lost(ti, self._dag.task_dict[ti.task_id])

    def _interrupt(self, running: dict[int, int]) -> None:
        """Ends the forks, which end their scripts. No second Ctrl-C cuts that short."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, signal.SIG_IGN) for number in numbers]
        for process in running:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGINT)
        for process, answer in running.items():
            with suppress(ChildProcessError):
                os.waitpid(process, 0)
            os.close(answer)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _mark_lost(ti: TaskInstance, task: Any) -> None:
    from airflow_aml.airflow.settings import open_workspace
    from airflow_aml.airflow.steps.mixin import AmlStepMixin
    from airflow_aml.definition.runs.kept import LOST
    from airflow_aml.workspace import layout
    from airflow_aml.workspace.endings import mark_failed

    if isinstance(task, AmlStepMixin):
        home = open_workspace(task.workspace)
        run_id = layout.pipeline_run_id(home.uuid, ti.dag_id, ti.run_id)
        mark_failed(home, run_id, ti.task_id, f"step {task.node.name!r}: {LOST}")


def _waiting(ti: TaskInstance) -> list[tuple[UUID, int]]:
    """(id, try) of each task of the run that can start now."""
    mine = (
        TaskInstance.dag_id == ti.dag_id,
        TaskInstance.run_id == ti.run_id,
        TaskInstance.state == TaskInstanceState.SCHEDULED,
    )
    wanted = select(TaskInstance.id, TaskInstance.try_number).where(*mine)
    with create_session(scoped=False) as session:
        found = session.execute(wanted.order_by(TaskInstance.task_id)).all()
    return [(each.id, each.try_number) for each in found]


def _die_with(parent: int) -> None:
    """Where the system can: this process ends as by Ctrl-C when the run is killed outright."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGINT)
    if os.getppid() != parent:
        raise KeyboardInterrupt
