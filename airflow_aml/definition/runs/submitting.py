"""``Run.submit_child``: a script in a process of its own, below that of the run it belongs to.

There is no Airflow in a step's process, so a child run is no task: it is run here, as a step is, by
the same runtime with the same rules (a copy of the source folder, ``outputs`` and ``logs``, its
whole output in its record). Its record lies in its parent's and goes where that goes. It ends with
the process that submitted it; one that ends by itself waits for it first.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional
from uuid import uuid4

from airflow_aml.definition.names import check_mapping, slug
from airflow_aml.definition.runs import process
from airflow_aml.definition.runs.context import Run
from airflow_aml.definition.runs.records import ScriptRecord
from airflow_aml.errors import ActivityFailedException, NotServedError, UserErrorException
from airflow_aml.runtime import STORES_VARIABLE
from airflow_aml.runtime.child import Child, child_of, report_of
from airflow_aml.runtime.job import StepJob, Text
from airflow_aml.runtime.stage import KEPT_FOLDERS, remove

if TYPE_CHECKING:
    from airflow_aml.definition.scriptrunconfig import ScriptRunConfig

__all__ = ["SubmittedRun", "submit"]

_KILL_AFTER = 5.0
_WORKSPACE_VARIABLE = "AIRFLOW__AML__WORKSPACE"


class SubmittedRun(Run):
    """The run of a script that :meth:`Run.submit_child` has started."""

    def __init__(self, parent: Run, job: StepJob, seconds: Optional[float], record: ScriptRecord):
        super().__init__(
            parent.experiment if not os.environ.get(process.RUN) else None,
            job.run_id,
            _record=record,
            _parent=parent,
            _name=job.step,
            _record_folder=job.record,
        )
        self._job = job
        self._seconds = seconds
        self._reason = ""
        self._child_process: Child = child_of(job, stores=os.environ.get(STORES_VARIABLE, ""))
        # Python waits for such a thread before it ends.
        self._thread = threading.Thread(target=self._follow, name=f"child run {job.step}")
        self._thread.start()

    @property
    def type(self) -> str:
        """v1's word for what kind of run it is."""
        return "azureml.scriptrun"

    def get_status(self) -> str:
        """``Running``, ``Completed``, ``Failed`` or ``Canceled``."""
        return "Running" if self._thread.is_alive() else super().get_status()

    def wait_for_completion(
        self,
        show_output: bool = False,
        wait_post_processing: bool = False,
        raise_on_error: bool = True,
        timeout_seconds: float = sys.maxsize,
    ) -> Dict[str, Any]:
        """Waits until the script has ended and returns the run's details.

        What the script prints stands in this process's output as it comes, whatever is asked for.

        Raises:
            ActivityFailedException: the script failed and ``raise_on_error`` holds.
        """
        self._thread.join(min(timeout_seconds, threading.TIMEOUT_MAX))
        if self.get_status() == "Failed" and raise_on_error:
            raise ActivityFailedException(
                f"Activity Failed: child run {self.name!r}: {self._why()}"
            )
        return self.get_details()

    def cancel(self) -> None:
        """Ends the script with all of its processes. One that has ended stays as it is."""
        if self._thread.is_alive():
            self._reason = self._reason or "canceled"
            self._child_process.stop()
            self._thread.join()

    def get_details(self) -> Dict[str, Any]:
        """What is known of the run."""
        return {**super().get_details(), "runDefinition": {"script": self._job.script}}

    def _children(self) -> Iterator[Run]:
        return iter(())  # known to its own process, and in its record

    def _follow(self) -> None:
        deadline = None if not self._seconds else time.monotonic() + self._seconds

        def stop() -> bool:
            if deadline is None or time.monotonic() < deadline:
                return False
            self._reason = self._reason or f"it ran for longer than {self._seconds:g} seconds"
            return True

        try:
            code = self._child_process.run(self._say_line, stop)
            report = report_of(self._job, code, stopped=self._child_process.stopping)
            if report.outcome == "finished":
                self._note({"end": "Completed", "value": ""})
            elif self._reason == "canceled":
                self._note({"end": "Canceled", "value": "canceled"})
            else:
                self._note({"end": "Failed", "value": self._reason or report.message})
        except Exception as error:  # noqa: BLE001 - nobody else would hear of it
            self._note({"end": "Failed", "value": f"{type(error).__name__}: {error}"})
        finally:
            with suppress(OSError):
                remove(self._job.work)

    def _say_line(self, line: str) -> None:
        with suppress(OSError, ValueError):  # nobody reads it any more
            sys.stdout.write(f"[{self.name}] {line}\n")
            sys.stdout.flush()


def submit(
    parent: Run, config: Any, tags: Optional[Mapping[str, Any]], options: Mapping[str, Any]
) -> SubmittedRun:
    """Starts a script as a child run.

    Raises:
        UserErrorException: it is no script's configuration, its folder has no such script, or an
            argument of it is no text, number or path.
        NotServedError: the run is followed from outside, or an option is not known.
        SnapshotException: there is no such source folder.
    """
    from airflow_aml.definition.scriptrunconfig import ScriptRunConfig

    if not isinstance(config, ScriptRunConfig):
        raise UserErrorException(
            f"submit_child takes a ScriptRunConfig, not a {type(config).__name__}."
        )
    if options:
        raise NotServedError(f"submit_child: {', '.join(sorted(options))}= is not served.")
    check_mapping("submit_child: tags=", tags)
    record = parent._record  # noqa: SLF001 - the child's lies in it
    if not isinstance(record, ScriptRecord):
        raise NotServedError(
            "submit_child starts a script below the process that calls it: that has to be the "
            "run's own script, or the program that began it with start_logging()."
        )
    arguments, settings = _arguments(config), config.run_config.settings
    _check_script(config)
    stem = os.path.splitext(os.path.basename(str(config.script)))[0]
    named = re.compile(rf"{re.escape(stem)}_\d+").fullmatch
    known = (str(note.get("value")) for note in record.notes() if "child" in note)
    number = 1 + sum(named(name) is not None for name in known)
    job = _job(parent, record, config, f"{stem}_{number}", arguments)
    parent._note({"child": job.run_id, "value": job.step})  # noqa: SLF001
    child = ScriptRecord(record.folder, job.run_id)
    for key, value in (tags or {}).items():
        child.note({"tag": str(key), "value": None if value is None else str(value)})
    return SubmittedRun(parent, job, settings.max_run_seconds, child)


def _check_script(config: ScriptRunConfig) -> None:
    script = os.path.join(config.source_directory, str(config.script))
    if os.path.isdir(config.source_directory) and not os.path.isfile(script):
        raise UserErrorException(
            f"submit_child: script not found at: {os.path.abspath(script)}.",
            hint="The script's path is relative to source_directory.",
        )


def _arguments(config: ScriptRunConfig) -> List[Text]:
    found = []
    for value in config.arguments:
        if not isinstance(value, (str, int, float, os.PathLike)):
            raise UserErrorException(
                f"an argument of a child run is a text, number or path, not a "
                f"{type(value).__name__}.",
                hint="Hand on the path that this run has, such as run.input_datasets['name'].",
            )
        found.append(Text(os.fspath(value) if isinstance(value, os.PathLike) else str(value)))
    return found


def _job(
    parent: Run, record: ScriptRecord, config: ScriptRunConfig, name: str, arguments: List[Text]
) -> StepJob:
    from airflow_aml.workspace.home import open_home
    from airflow_aml.workspace.snapshots import take

    workspace, url, uuid, experiment, root = _whereabouts(parent)
    settings = config.run_config.settings
    # As v1's are; what its experiment is called may hold signs that an id has not.
    run_id = f"{slug(experiment, fallback='run')[:36]}_{int(time.time())}_{uuid4().hex[:8]}"
    work = tempfile.mkdtemp(prefix="airflow-aml-child-")
    try:
        # Its sources are this run's, or beside them: nobody needs them kept once more.
        source = _without_own_files(config.source_directory, os.path.join(work, "sources"))
        snapshot = take(source, open_home(os.path.join(work, "kept")))
    except BaseException:
        remove(work)
        raise
    above = {
        "child": run_id,
        "id": parent.id,
        "name": parent.name,
        "folder": os.path.abspath(record.folder),
        "about": record.run_id,
    }
    return StepJob(
        attempt=uuid4().hex,
        run_id=run_id,
        root_run_id=root,
        step=name,
        work=work,
        snapshot=str(snapshot.path),
        script=str(config.script),
        interpreter=settings.environment.interpreter or sys.executable,
        record=os.path.join(os.path.abspath(record.folder), "of", run_id),
        arguments=tuple(arguments),
        environment_variables={**settings.environment_variables, process.PARENT: json.dumps(above)},
        workspace_name=workspace,
        workspace_url=url,
        workspace_id=uuid,
        experiment=experiment,
        kill_after=_KILL_AFTER,
    )


def _without_own_files(source: str, copy: str) -> str:
    """The source folder; of a script's own one a copy, without what the script has left in it.

    Else that would be taken for files that the child has left.
    """
    here = os.path.abspath(source)
    if not os.environ.get(process.RUN) or os.path.realpath(here) != os.path.realpath(os.getcwd()):
        return source
    import shutil

    def left(folder: str, names: List[str]) -> List[str]:
        return [name for name in names if folder == here and name in KEPT_FOLDERS]

    shutil.copytree(here, copy, symlinks=True, ignore=left, ignore_dangling_symlinks=True)
    return copy


def _whereabouts(parent: Run) -> List[str]:
    """Name, URL and id of the workspace; the experiment; the run above all of them."""
    if os.environ.get(process.RUN):
        names = ("AZUREML_ARM_WORKSPACE_NAME", _WORKSPACE_VARIABLE, "AZUREML_WORKSPACE_ID")
        found = [os.environ.get(name, "") for name in (*names, "AZUREML_ARM_PROJECT_NAME")]
        return [*found, os.environ.get(process.ROOT) or parent.id]
    from airflow_aml.definition.homes import home_of

    workspace = parent.experiment.workspace
    home = home_of(workspace)
    return [workspace.name, home.url, home.uuid, parent.experiment.name, parent.id]
