"""``azureml.widgets.RunDetails``: a run that can be watched, in a notebook or in a terminal."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from importlib import import_module
from threading import Condition, Lock, Thread
from typing import Any, Dict, List, Optional

from airflow_aml.definition.runs.context import Run
from airflow_aml.definition.runs.notebook import kernel_shell
from airflow_aml.definition.runs.offline import _OfflineRun
from airflow_aml.definition.runs.rundetails_html import html_of, text_of
from airflow_aml.definition.runs.rundetails_view import RunView, Watch
from airflow_aml.errors import UserErrorException

__all__ = ["RunDetails"]

_POLL, _LONGEST_POLL = 1.0, 20.0
_LEISURE = 3
"""So many times as long as a look takes is the pause after it."""

_PATIENCE = 3.0
"""For so many seconds a notebook waits for a look at the run."""


class RunDetails:
    """Shows a run: its status, its steps and why they ran, what reuse has saved, its graph.

    Args:
        run_instance: a run of any kind; it may have ended long ago.

    Raises:
        UserErrorException: it is no run.
    """

    def __init__(self, run_instance: Any):
        if not isinstance(run_instance, (Run, _OfflineRun)):
            raise UserErrorException(
                f"RunDetails takes a run, not a {type(run_instance).__name__}."
            )
        self._run = run_instance

    def show(self, render_lib: Any = None, widget_settings: Any = None) -> None:
        """Shows the run, and returns at once.

        In a notebook what is shown follows the run until its end. Anywhere else the run is told as
        it is now; ``wait_for_completion`` follows it. Arguments are v1's and have no effect.
        """
        run = self._run
        if isinstance(run, _OfflineRun) or not run.id:  # nothing runs: a file is being loaded
            return
        if kernel_shell() is None:
            sys.stdout.write(text_of(Watch(run).look()))
            sys.stdout.flush()
            return
        follower = _follower_of(run.id)
        if follower is None:
            follower = _Follower(run)
            follower.start()
        follower.show()

    def get_widget_data(self, widget_settings: Any = None) -> Dict[str, Any]:
        """What is shown, as a document."""
        if isinstance(self._run, _OfflineRun) or not self._run.id:
            return {}
        view = Watch(self._run).look()
        return {
            "status": view.status,
            "workbench_run_details_uri": view.page,
            "run_id": view.id,
            "run_properties": {
                "run_id": view.id,
                "type": view.type,
                "experiment": view.experiment,
                "status": view.status,
                "parameters": view.parameters,
            },
            "run_metrics": view.metrics,
            "child_runs": [_child(step) for step in view.steps],
            "graph": {
                "nodes": {step.progress.task_id: step.progress.name for step in view.steps},
                "edges": [
                    {"from": before, "to": step.progress.task_id}
                    for step in view.steps
                    for before in step.upstream
                ],
            },
            "error": view.trouble,
        }

    def __repr__(self) -> str:
        return f"RunDetails({self._run!r})"


def _child(step: Any) -> Dict[str, Any]:
    progress = step.progress
    return {
        "name": progress.name,
        "task_id": progress.task_id,
        "status": progress.status,
        "seconds": progress.seconds,
        "saved_seconds": progress.saved_seconds,
        "reason": progress.reason,
        "metrics": step.metrics,
    }


class _Follower(Thread):
    """Looks at one run until its end, and draws again wherever the notebook shows it.

    A thread that ends with the kernel. A notebook that is run without anybody looking (nbclient,
    papermill) keeps only what comes while a cell runs, so the end of each cell draws, too.
    """

    def __init__(self, run: Run):
        super().__init__(name=f"RunDetails {run.id}", daemon=True)
        self._watch = Watch(run)
        self._view: Optional[RunView] = None
        self._displays: List[Any] = []
        self._drawing = Lock()
        self._turn = Condition()
        self._asked, self._answered, self._late = 0, 0, False

    def show(self) -> None:
        """Draws it in the running cell too, and from now on at the end of each."""
        self._wait()
        with self._drawing:
            show = import_module("IPython.display").display
            self._displays.append(show(self._drawn(), raw=True, display_id=True))
        events = kernel_shell().events
        if self._after_cell not in events.callbacks["post_run_cell"]:
            events.register("post_run_cell", self._after_cell)

    def run(self) -> None:
        """The thread's life."""
        while self._view is None or not self._view.done:
            with self._turn:
                asked = self._asked
            begun = time.monotonic()
            self._view = self._watch.look(_PATIENCE / 2)
            pause = min(max(_POLL, _LEISURE * (time.monotonic() - begun)), _LONGEST_POLL)
            self._draw()
            with self._turn:
                # Of a run that has ended no later look would tell anything else.
                self._answered = self._asked if self._view.done else asked
                self._late = False
                self._turn.notify_all()
                if not self._view.done:
                    self._turn.wait_for(lambda: self._asked > self._answered, pause)

    def _wait(self) -> None:
        """Until it was looked at the run from now on, but not for long; nor twice for one look."""
        with self._turn:
            if self._late or not self.is_alive():
                return
            self._asked += 1
            mine = self._asked
            self._turn.notify_all()
            self._late = not self._turn.wait_for(
                lambda: self._answered >= mine or not self.is_alive(), _PATIENCE
            )

    def _after_cell(self, *_: Any) -> None:
        self._wait()
        self._draw()
        if not self.is_alive():
            kernel_shell().events.unregister("post_run_cell", self._after_cell)

    def _draw(self) -> None:
        with self._drawing:
            drawn = self._drawn()
            for display in self._displays:
                with suppress(Exception):  # the kernel is about to end
                    display.update(drawn, raw=True)

    def _drawn(self) -> Dict[str, str]:
        view = self._view
        if view is None:
            waiting = "The run is being looked at."
            return {"text/html": f"<div>{waiting}</div>", "text/plain": waiting}
        return {"text/html": html_of(view), "text/plain": text_of(view)}

    def follows(self, run_id: str) -> bool:
        """Whether it still looks at the run of that id."""
        return self.is_alive() and self._watch.id == run_id


def _follower_of(run_id: str) -> Optional[_Follower]:
    """The one that looks at the run already: however often a run is shown, one thread does."""
    for each in kernel_shell().events.callbacks["post_run_cell"]:
        follower = getattr(each, "__self__", None)
        if isinstance(follower, _Follower) and follower.follows(run_id):
            return follower
    return None
