"""``Run.get_context()``: the run that a script is part of.

Everything is read from the environment that the runtime gives a script (reference 2.8) and noted in
a folder of this machine, which the runtime sends on when the script has ended. So no call waits for
a server, and none makes a step fail because the record cannot be written: that is said once.
"""

from __future__ import annotations

import os
import re
from abc import ABCMeta
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Sequence

from airflow_aml.definition.names import warn_ignored
from airflow_aml.definition.runs import process
from airflow_aml.definition.runs.files import Files, Tags
from airflow_aml.definition.runs.metrics import Metrics
from airflow_aml.definition.runs.offline import _OfflineRun
from airflow_aml.definition.runs.ports import InputDatasets, OutputDatasets
from airflow_aml.definition.runs.records import WITHIN, Record, ScriptRecord
from airflow_aml.definition.runs.registering import Registering
from airflow_aml.definition.runs.snapshot import Snapshots
from airflow_aml.definition.runs.told import Told
from airflow_aml.errors import NotServedError, RunEnvironmentException, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.environment import Environment
    from airflow_aml.definition.experiment import Experiment
    from airflow_aml.definition.runs.submitting import SubmittedRun

__all__ = ["Run"]

_AS_PARENT = {
    "Finished": "Completed",
    "Completed": "Completed",
    "Failed": "Failed",
    "Canceled": "Canceled",
}
"""How a child run that nobody has ended is said to have ended, by its parent's status."""


class _Found(ABCMeta):
    """``Run(experiment, run_id)`` is the run of that id, of whichever kind it is, as in v1."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if cls is not Run or "_record" in kwargs:
            return super().__call__(*args, **kwargs)
        from airflow_aml.definition.runs.finding import get_run

        return get_run(*args, **kwargs)


class Run(Metrics, Files, Tags, Snapshots, Registering, Told, metaclass=_Found):
    """A run; ``Run.get_context()`` gives the one that a script is part of.

    ``Run(experiment, run_id)`` reads any run of the workspace, as ``Run.get`` does.

    Attributes:
        id: the step run's, as in destinations' ``{run-id}``.
        name: of a child run, its name.
        parent: the pipeline run of a step's run, the step's run of a child run; else None, as of a
            ``ScriptRunConfig``'s run.
    """

    _current: Optional[Run] = None
    _is_canceled = False
    _is_pipelines = False

    def __init__(
        self,
        experiment: Optional[Experiment],
        run_id: str,
        outputs: Any = None,
        *,
        _record: Optional[Record] = None,
        _parent: Optional[Run] = None,
        _name: str = "",
        _record_folder: str = "",
    ):
        self.id = run_id
        self.name = _name
        self.parent = _parent
        self._experiment = experiment
        self._record = _record
        self._record_folder = _record_folder
        self._inputs: Optional[InputDatasets] = None

    @property
    def _run_id(self) -> str:
        """v1's private name of :attr:`id`, which scripts use."""
        return self.id

    @property
    def experiment(self) -> Experiment:
        """The run's experiment, with its ``workspace``."""
        if self._experiment is None:  # most scripts never ask
            self._experiment = process.experiment()
        return self._experiment

    @staticmethod
    def get_context(
        allow_offline: bool = True, used_for_context_manager: bool = False, **others: Any
    ) -> Any:
        """The run of this process; outside a run an object that only prints, as in v1.

        Raises:
            RunEnvironmentException: this is no run's process and ``allow_offline`` is not set.
        """
        if others:
            warn_ignored("Run.get_context", others)
        run_id = os.environ.get(process.RUN)
        if run_id:
            if Run._current is None or Run._current.id != run_id:
                from airflow_aml.definition.runs.script import run_of_script

                Run._current = run_of_script(run_id)
            return Run._current
        if allow_offline:
            return _OfflineRun()
        raise RunEnvironmentException(
            "Could not load a submitted run, if outside of an execution context, use "
            f"experiment.start_logging to initialize an azureml.core.Run "
            f"({process.RUN} is not set)."
        )

    @staticmethod
    def get(workspace: Any, run_id: str) -> Run:
        """The pipeline's or step's run of that id, or one below a step's.

        Raises:
            UserErrorException: the workspace has no such run.
        """
        from airflow_aml.definition.runs.finding import find

        return find(workspace, run_id)

    @staticmethod
    def list(
        experiment: Experiment,
        type: Optional[str] = None,  # noqa: A002 - v1's name
        tags: Any = None,
        properties: Optional[Mapping[str, str]] = None,
        status: Optional[str] = None,
        include_children: bool = False,
    ) -> Iterator[Run]:
        """The experiment's runs, newest first; ``status`` is a word of either vocabulary."""
        for run in experiment.get_runs(type, tags, properties, include_children):
            if status is None or status in (run.get_status(), run.status):
                yield run

    @property
    def type(self) -> str:
        """v1's word for what kind of run it is."""
        is_steps = self.parent is not None and self._is_steps()
        return "azureml.StepRun" if is_steps else "azureml.scriptrun"

    @property
    def number(self) -> int:
        """The place, from 1, that the whole run has in its experiment, counted when it is asked."""
        from airflow_aml.definition.runs.finding import number_of

        return number_of(self)

    @property
    def input_datasets(self) -> InputDatasets:
        """Inputs by name: a local path in mount and download mode, a dataset in direct mode."""
        if self._inputs is None:
            self._inputs = InputDatasets(self.experiment.workspace)
        return self._inputs

    @property
    def output_datasets(self) -> OutputDatasets:
        """Outputs by name: a local folder, or for a link output an object to ``link`` with."""
        return OutputDatasets(self.experiment.workspace)

    @property
    def status(self) -> str:
        """As :meth:`get_status`."""
        return self.get_status()

    def get_status(self) -> str:
        """``Running``, until a child run was completed or failed, or its parent has ended."""
        ends = [note["end"] for note in self._notes() if "end" in note]
        if ends:
            return str(ends[-1])
        return _AS_PARENT.get(self.parent.get_status(), "Running") if self.parent else "Running"

    def get_metrics(
        self,
        name: Optional[str] = None,
        recursive: bool = False,
        run_type: Optional[str] = None,
        populate: bool = False,
    ) -> Dict[str, Any]:
        """The metrics logged so far, by name; ``recursive``: run id -> these, of all below, too.

        A scalar that was logged once is itself, else a list; rows are columns; an image is the
        name of its file. With ``run_type`` only runs of that :attr:`type` count.
        """
        if not recursive:
            return super().get_metrics(name) if run_type in (None, self.type) else {}
        runs = (self, *self.get_children(recursive=True))
        return {run.id: run.get_metrics(name) for run in runs if run_type in (None, run.type)}

    def child_run(
        self, name: Optional[str] = None, run_id: Optional[str] = None, outputs: Any = None
    ) -> Run:
        """Begins a run below this one; ``complete`` or ``fail`` ends it, and so does ``with``.

        Raises:
            UserErrorException: the id is another run's, or has other signs than v1 allows.
        """
        from uuid import uuid4

        if run_id is not None:
            self._check_new(run_id)
        identity = run_id or str(uuid4())
        self._note({"child": identity, "value": name or identity})
        return self._child(identity, name or identity)

    def create_children(
        self,
        count: Optional[int] = None,
        tag_key: Optional[str] = None,
        tag_values: Optional[Sequence[Any]] = None,
    ) -> List[Run]:
        """Begins several child runs: so many, or one for each value of a tag.

        Raises:
            UserErrorException: neither, or a tag without values.
        """
        if (tag_key is None) != (tag_values is None) or (count is None) == (tag_key is None):
            raise UserErrorException(
                "create_children takes either count= or both of tag_key= and tag_values=."
            )
        if count is not None and not isinstance(count, int):
            raise UserErrorException(f"create_children: count= is a number, not {count!r}.")
        if tag_key is None or tag_values is None:
            return [self.child_run() for _ in range(count or 0)]
        children = []
        for value in tag_values:
            child = self.child_run()
            child.tag(tag_key, value)
            children.append(child)
        return children

    def submit_child(self, config: Any, tags: Any = None, **kwargs: Any) -> SubmittedRun:
        """Runs another script as a run below this one, in a process beside this one.

        Args:
            config: a :class:`~airflow_aml.definition.scriptrunconfig.ScriptRunConfig`.
            tags: of the child run.

        Raises:
            UserErrorException, NotServedError: what is asked for cannot be had.
        """
        from airflow_aml.definition.runs.submitting import submit

        return submit(self, config, tags, kwargs)

    def get_children(
        self,
        recursive: bool = False,
        tags: Any = None,
        properties: Optional[Mapping[str, str]] = None,
        type: Optional[str] = None,  # noqa: A002 - v1's name
        status: Optional[str] = None,
    ) -> Iterator[Run]:
        """The runs below this one, newest first; of a pipeline run, its steps'."""
        for child in self._children():
            if child.matches(type, tags, properties) and (
                status is None or status in (child.get_status(), child.status)
            ):
                yield child
            if recursive:
                yield from child.get_children(True, tags, properties, type, status)

    def matches(
        self,
        type: Optional[str] = None,  # noqa: A002 - v1's name
        tags: Any = None,
        properties: Optional[Mapping[str, str]] = None,
    ) -> bool:
        """Whether it is of that type, and has these tags (or this one) and properties."""
        return (
            type in (None, self.type)
            and (tags is None or _matches(tags, self.tags))
            and (properties is None or _matches(properties, self.properties))
        )

    def complete(self, _set_status: bool = True) -> None:
        """Ends a child run. A step's own run ends when its script does."""
        self._end("Completed")

    def fail(self, error_details: Any = None, error_code: Optional[str] = None, **_: Any) -> None:
        """Ends a child run as failed. A step's own run fails when its script does."""
        self._end("Failed", str(error_details or error_code or ""), error_code or "")

    def cancel(self) -> None:
        """Ends a child run as canceled, in the script that has begun it.

        Raises:
            NotServedError: it is a step's own run, or that of another program.
        """
        if self._is_steps() or not self._is_own():
            raise NotServedError(
                f"Run.cancel: {self.id!r} ends with its script.",
                hint="A script ends itself by sys.exit(). From other programs, cancel() of the "
                "pipeline's run ends it and all of its steps.",
            )
        self._end("Canceled")
        self._is_canceled = True

    def get_secret(self, name: str) -> str:
        """The value of a secret, which Airflow keeps as its Variable ``aml_secret_<name>``.

        Raises:
            UserErrorException: there is none of that name.
        """
        from airflow_aml.definition.keyvault import secret

        return secret(name)

    def get_secrets(self, secrets: Sequence[str]) -> Dict[str, str]:
        """The values of several secrets by name."""
        return {name: self.get_secret(name) for name in secrets}

    def flush(self, timeout_seconds: int = 300) -> None:
        """Does nothing: every call has written what it was given."""

    def start(self) -> None:
        """Does nothing: a run has been started when a script gets it."""

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self.complete()
        else:
            self.fail(f"{kind.__name__}: {error}")

    def get_environment(self) -> Environment:
        """The software that the step asked for.

        Raises:
            UserErrorException: it is no step's run.
        """
        from airflow_aml.definition.runs.software import environment_of

        return environment_of(self)

    def __getattr__(self, name: str) -> Any:
        if name in _NOT_SERVED:
            raise NotServedError(f"Run.{name} is not served: {_NOT_SERVED[name]}")
        raise AttributeError(f"'Run' object has no attribute {name!r}")

    def _repr_html_(self) -> str:
        from airflow_aml.definition.runs.notebook import run_html

        return run_html(self)

    def __repr__(self) -> str:
        return f"Run(Experiment: {self.experiment.name}, Id: {self.id})"

    def _end(self, status: str, error: str = "", code: str = "") -> None:
        if not self._is_steps() and not self._is_canceled:
            self._note({"end": status, "value": error, **({"code": code} if code else {})})

    def _is_steps(self) -> bool:
        """Whether it is a step's own run, or that of a script alone."""
        if isinstance(self._record, ScriptRecord) and self._record.run_id:
            return False  # it is below another one, if only below a run without a script
        return self.parent is None or self.parent._is_pipelines  # noqa: SLF001 - a run, too

    def _is_own(self) -> bool:
        """Whether it is this program that has begun it."""
        return isinstance(self._record, ScriptRecord)

    def _check_new(self, run_id: str) -> None:
        if not isinstance(run_id, str) or not _RUN_ID.match(run_id):
            raise UserErrorException(
                f"{run_id!r} cannot be a run's id: up to 256 letters, digits, underscores and "
                "dashes, the first a letter or digit."
            )
        above = {run.id for run in (self, self.parent) if run is not None}
        if run_id in above or any(note.get("child") == run_id for note in self._notes()):
            raise UserErrorException(
                f"there is a run {run_id!r} already.",
                hint="Leave run_id= away: each child run gets one of its own.",
            )

    def _children(self) -> Iterator[Run]:
        for note in reversed(self._notes()):
            if "child" in note:
                folder = str(note.get(WITHIN, ""))
                yield self._child(str(note["child"]), str(note.get("value", "")), folder)

    def _child(self, run_id: str, name: str, folder: str = "") -> Run:
        folder = folder or self._record_folder or process.record_folder()
        record = ScriptRecord(folder, run_id)
        return Run(
            self._experiment,
            run_id,
            _record=record,
            _parent=self,
            _name=name,
            _record_folder=folder,
        )

    @property
    def _records(self) -> Record:
        assert self._record is not None  # kinds of runs that have none say themselves where it is
        return self._record


_RUN_ID = re.compile(r"[a-zA-Z0-9][\w-]{0,255}\Z", re.ASCII)


def _matches(wanted: Any, there: Mapping[str, Any]) -> bool:
    """Whether the tags (or properties) hold a key, or all of some values, that are asked for."""
    if isinstance(wanted, str):
        return wanted in there
    return all(key in there and there[key] == str(value) for key, value in wanted.items())


_NOT_SERVED = {
    "add_type_provider": "the kinds of runs are fixed.",
    "take_snapshot": "a step's source folder is kept with its run, see get_snapshot_id().",
}
