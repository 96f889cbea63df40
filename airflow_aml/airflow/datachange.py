"""Runs that start because files have changed: which files each takes, and what is told of them.

The first task of such a run takes what the journal of the watched folder has and no other run of
the schedule has taken. So it does not matter how often Airflow was told, or whether at all.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_aml.definition.dataparameters import data_text
from airflow_aml.definition.values import SETTINGS_KEY
from airflow_aml.workspace.datastores import load_datastore
from airflow_aml.workspace.watches import Journal, watch_id

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_aml.definition.schedule_spec import DataChange, ScheduleSpec
    from airflow_aml.definition.spec import ParameterSpec
    from airflow_aml.workspace.home import Home

BY_DATA = "asset_triggered"
"""Airflow's word for runs that events of assets start."""

CHANGED = "changed"
"""In the conf of a run that has one file of many: which, below ``_aml``."""

_SHOWN = 100
_NOTE = 990  # characters; Airflow keeps a thousand


@dataclass(frozen=True)
class Change:
    """The files that one run has taken.

    Attributes:
        datastore: its name.
        files: paths in the datastore, with their versions; none: other runs have taken them all.
    """

    datastore: str
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        """The changed file; of several, the folder that has all of them."""
        if len(self.files) == 1:
            return next(iter(self.files))
        folders = [path.rpartition("/")[0] for path in self.files]
        return os.path.commonpath(folders) if folders and all(folders) else ""

    @property
    def digest(self) -> str:
        """Another one when a file of it is another."""
        text = "\n".join(f"{path}\t{version}" for path, version in sorted(self.files.items()))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    @property
    def told(self) -> dict[str, Any]:
        """What the run's first task says of it in its XCom."""
        paths = sorted(self.files)[:_SHOWN]
        return {
            "datastore": self.datastore,
            "path": self.path,
            "files": len(self.files),
            "paths": paths,
        }

    def each(self) -> Iterator[Change]:
        """A change for each of its files."""
        for path, version in sorted(self.files.items()):
            yield Change(self.datastore, {path: version})


def take(schedule: ScheduleSpec, home: Home, context: Context) -> Change | None:
    """The files that this run takes; None: it was not started because files have changed.

    Asked again by another try of the same run, it is the same.

    Raises:
        WorkspaceException: the workspace cannot be used.
    """
    run = context["dag_run"]
    sent = ((run.conf or {}).get(SETTINGS_KEY) or {}).get(CHANGED)
    if sent:
        return Change(str(sent["datastore"]), {str(sent["path"]): str(sent["version"])})
    if schedule.data is None or run.run_type != BY_DATA:
        return None
    events = context["triggering_asset_events"].values()
    payloads = [*_payloads(each.extra for listed in events for each in listed)]
    since = min((each["after"] for each in payloads), default=0) + 1
    watch = watch_id(schedule.data.datastore, schedule.data.path)
    again = context["ti"].try_number > 1
    entries = Journal(home.store, watch).take(schedule.id, run.run_id, since, again)
    files = {path: version for entry in entries for path, version in entry.found.items()}
    return Change(load_datastore(home, schedule.data.datastore).name, files)


def changed_value(parameter: ParameterSpec, change: Change) -> str:
    """What the parameter gets that is to have the changed path.

    A text gets the path, a ``DataPath`` also the name of the datastore: ``datastore/path``; a
    dataset is the files that are there.
    """
    if parameter.type == "string":
        return change.path
    return data_text(parameter, {"datastore": change.datastore, "path": change.path})


def marked(
    watched: DataChange | None, specs: Iterable[ParameterSpec], change: Change | None
) -> dict[str, str]:
    """What counts in place of the changed path when earlier results are looked for.

    A text says where a file is, and not that it is another one; data is looked at anyway.
    """
    if watched is None or change is None:
        return {}
    return {
        each.name: f"{change.path} ({change.digest})"
        for each in specs
        if each.name == watched.parameter and each.type == "string"
    }


def start_each(
    change: Change,
    schedule: ScheduleSpec,
    dag_id: str,
    conf: Mapping[str, Any],
    parameter: ParameterSpec | None,
    by: str,
) -> None:
    """Starts a run of a DAG for each file; one that was started before is not started again.

    Args:
        conf: of each of the runs, but for what tells its file.
        parameter: the one that gets the file; None for none.
        by: the id of the run that starts them.
    """
    family = hashlib.sha256(by.encode()).hexdigest()[:8]
    for one in change.each():
        ((path, version),) = one.files.items()
        about = {"datastore": one.datastore, "path": path, "version": version}
        its = {**conf, SETTINGS_KEY: {**(conf.get(SETTINGS_KEY) or {}), CHANGED: about}}
        if parameter is not None:
            its[parameter.name] = changed_value(parameter, one)
        run_id = f"{schedule.submitted}{family}-{one.digest}"
        start(dag_id, run_id, its, note([path], 1, one.datastore))


def start(dag_id: str, run_id: str, conf: Mapping[str, Any], said: str | None) -> None:
    """Has Airflow start a run, unless there is one of that id.

    Raises:
        AirflowRuntimeError: Airflow has no such DAG, or refuses.
    """
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import TriggerDagRun

    task_runner.SUPERVISOR_COMMS.send(
        TriggerDagRun(dag_id=dag_id, run_id=run_id, conf=dict(conf), note=said)
    )


def note(paths: list[str], count: int, datastore: str) -> str:
    """One line for people: how many files have changed, and which."""
    files = f"{count} file{'' if count == 1 else 's'}"
    text = f"{files} changed in {datastore}: {', '.join(paths)}"
    if len(paths) < count:
        text += ", ..."
    return text if len(text) <= _NOTE else f"{text[:_NOTE]}..."


def note_of_events(extras: Iterable[Any]) -> str | None:
    """The note of a run that events of watched folders have started; None: there are none."""
    payloads = [*_payloads(extras)]
    if not payloads:
        return None
    paths = list(dict.fromkeys(path for each in payloads for path in each["paths"]))
    count = max(len(paths), *(each["files"] for each in payloads))
    return note(paths, count, payloads[0]["datastore"])


def _payloads(extras: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """What the trigger told, among all that events say."""
    for extra in extras:
        payload = extra.get("payload") if isinstance(extra, dict) else None
        if isinstance(payload, dict) and {"after", "entry", "paths"} <= payload.keys():
            yield payload
