"""What a run in this process tells while it goes on: one line for whatever happens.

Airflow's own lines have a time, a logger and a place in the source. Here somebody is watching: each
line has the name of its step before it, and an error that the reader can mend has no traceback.
"""

from __future__ import annotations

import logging
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any

import structlog
from airflow.listeners import hookimpl
from airflow.sdk import TaskInstanceState, get_current_context
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from airflow.sdk.listener import get_listener_manager

from airflow_aml.airflow.steps.halt import StepNotStarted
from airflow_aml.errors import AirflowAmlError

_MARKS = {"warning": "warning: ", "error": "error: ", "critical": "error: "}
_ASIDE = frozenset(
    ["timestamp", "level", "logger", "logger_name", "loc", "filename", "lineno", "stack"]
)
"""What Airflow adds to a line, beside what was said."""

_FAILED = "Task failed with exception"
"""What Airflow logs before it says which task that was; it is told then."""

_WAITING = "airflow.sdk.definitions.dag"
"""While a task waits for its next try, this logger warns every second that nothing goes on."""


class Telling:
    """Hears what Airflow logs, and how its tasks begin and end.

    Args:
        names: task id -> what the reader knows the step as.
        tell: takes each line.

    Attributes:
        errors: task id -> why the task failed for good.
        refused: ids of the tasks among them that did not even begin.
    """

    def __init__(self, names: Mapping[str, str], tell: Callable[[str], None]):
        self.errors: dict[str, str] = {}
        self.refused: set[str] = set()
        self._names = names
        self._tell = tell
        self._begun: dict[str, Any] = {}
        self._task = ""

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Inside, lines and tasks of this process come here and nowhere else; SIGTERM ends the run
        as Ctrl-C does."""
        before, root = structlog.get_config(), logging.getLogger()
        handlers = root.handlers
        structlog.configure(processors=[*before["processors"][:-1], self._structured])
        root.handlers = [_Handler(self.line)]
        on_term = signal.signal(signal.SIGTERM, signal.default_int_handler)
        manager = get_listener_manager()
        manager.add_listener(self)  # type: ignore[no-untyped-call]
        try:
            yield
        finally:
            manager.pm.unregister(self)
            signal.signal(signal.SIGTERM, on_term)
            root.handlers = handlers
            structlog.configure(**before)

    def line(self, level: str, text: str, error: BaseException | None = None) -> None:
        """Tells what was logged, and the error that it was logged for."""
        if error is not None and is_expected(error):
            # What a script wrote last has just been told, and is in the summary.
            text = str(error).partition("\n")[0]
        elif error is not None:
            text = f"{text}\n{''.join(traceback.format_exception(error)).rstrip()}"
        name = self._current()
        self._say_running(self._task)
        for each in text.splitlines() or [""]:
            self._tell(f"{name} | {_MARKS.get(level, '')}{each}".rstrip())

    def _current(self) -> str:
        with suppress(RuntimeError):  # before or after a task's own work it is about that task, too
            self._task = get_current_context()["ti"].task_id
        return self._names.get(self._task, self._task) or "airflow"

    def _structured(self, logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
        text, error = str(event.pop("event", "")), _error(event.pop("exc_info", None))
        if error is not None and text == _FAILED:
            raise structlog.DropEvent
        more = [f"{key}={value!r}" for key, value in event.items() if key not in _ASIDE]
        self.line(event.get("level", method), " ".join([text, *more]), error)
        raise structlog.DropEvent

    @hookimpl
    def on_task_instance_running(self, previous_state: Any, task_instance: Any) -> None:
        """A task begins. Airflow's handler, set just now, would have it tried again."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        self._task = task_instance.task_id
        self._begun[self._task] = task_instance  # told with its first line: it may refuse to start

    @hookimpl
    def on_task_instance_success(self, previous_state: Any, task_instance: Any) -> None:
        """A task has succeeded."""
        self._say_running(task_instance.task_id)
        self._step(task_instance, "Finished")

    @hookimpl
    def on_task_instance_failed(self, previous_state: Any, task_instance: Any, error: Any) -> None:
        """A task has failed, for good or to be tried again.

        Raises:
            KeyboardInterrupt: it was that, which Airflow takes for a failure to be tried again.
        """
        if isinstance(error, KeyboardInterrupt):
            raise error
        self._task = task_instance.task_id
        refused = isinstance(error, StepNotStarted)
        if refused:
            self._begun.pop(self._task, None)
            self.refused.add(self._task)
        self._say_running(self._task)
        if error is not None and not isinstance(error, SystemExit):
            self.line("error", f"task {self._task!r} failed", error)
        if task_instance.state == TaskInstanceState.UP_FOR_RETRY:
            self._step(task_instance, "Retrying")
            return
        self.errors[task_instance.task_id] = reason(error)
        self._step(task_instance, "NotStarted" if refused else "Failed")

    def _say_running(self, task_id: str) -> None:
        begun = self._begun.pop(task_id, None)
        if begun is not None:
            self._step(begun, "Running")

    def _step(self, task_instance: Any, status: str) -> None:
        if task_instance.task_id in self._names:
            self._tell(f"{status:>10}  {self._names[task_instance.task_id]}")


class _Handler(logging.Handler):
    def __init__(self, line: Callable[[str, str, BaseException | None], None]):
        super().__init__(logging.WARNING)
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        if record.name == _WAITING and record.levelno < logging.ERROR:
            return
        error = record.exc_info[1] if record.exc_info else None
        self._line(record.levelname.lower(), record.getMessage(), error)


def is_expected(error: BaseException) -> bool:
    """Whether the error's text says all there is to say; others are told with their traceback."""
    if isinstance(error, (AirflowAmlError, StepNotStarted)):
        return True
    return type(error) in (AirflowException, AirflowFailException)  # what steps raise on purpose


def reason(error: BaseException | None) -> str:
    """Why something failed."""
    if error is None:
        return ""
    return str(error) if is_expected(error) else f"{type(error).__name__}: {error}"


def _error(exc_info: Any) -> BaseException | None:
    """What structlog is given as ``exc_info``: an error, a triple of one, or true for this one."""
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        return exc_info[1] if isinstance(exc_info[1], BaseException) else None
    return sys.exc_info()[1] if exc_info else None
