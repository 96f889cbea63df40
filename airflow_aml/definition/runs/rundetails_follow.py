"""Who follows a run in a notebook: a thread that draws it again until it has ended."""

from __future__ import annotations

import time
from contextlib import suppress
from importlib import import_module
from threading import Condition, Lock, Thread
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from airflow_aml.definition.runs.notebook import kernel_shell
from airflow_aml.definition.runs.rundetails_html import html_of, text_of
from airflow_aml.definition.runs.rundetails_view import RunView, Watch

if TYPE_CHECKING:
    from airflow_aml.definition.runs.context import Run

__all__ = ["follower_of"]

_POLL, _LONGEST_POLL = 1.0, 20.0
_LEISURE = 3
"""So many times as long as a look takes is the pause after it."""

_PATIENCE = 3.0
"""For so many seconds a notebook waits for a look at the run."""


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


def follower_of(run: Run) -> _Follower:
    """The one that looks at the run: however often it is shown, one thread does."""
    for each in kernel_shell().events.callbacks["post_run_cell"]:
        follower = getattr(each, "__self__", None)
        if isinstance(follower, _Follower) and follower.follows(run.id):
            return follower
    follower = _Follower(run)
    follower.start()
    return follower
