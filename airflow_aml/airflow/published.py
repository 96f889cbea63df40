"""Published pipelines, and programs' schedules, as DAG files: one small file for each,
which Airflow parses by itself.

A bundle keeps a local folder with them. :func:`refresh` costs two listings of the workspace where
nothing was published; a document is copied once, as it never changes. Airflow parses from that
folder, so that no parse touches the workspace, and a damaged document is one import error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace import published, schedules
from airflow_aml.workspace.documents import write_bytes

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_aml.workspace.home import Home

TAG = "published"

_SCHEDULES = "schedules"

_SHIM = """\
# A DAG of Airflow: published pipeline {id}
from airflow_aml.airflow.published import published_dag

dag = published_dag(__file__, enabled={enabled})
"""

_SCHEDULED = """\
# A DAG of Airflow: schedule {id}, revision {revision}
from airflow_aml.airflow.published import scheduled_dag

dag = scheduled_dag(__file__)
"""


def shim(identifier: str, enabled: bool) -> str:
    """The text of the file that stands for a published pipeline."""
    return _SHIM.format(id=identifier, enabled=enabled)


def refresh(home: Home, folder: Path) -> list[str]:
    """Brings a folder up to date with what is published and scheduled in a workspace.

    Returns:
        The names of the files that are new, changed or gone.

    Raises:
        WorkspaceException: the workspace cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    wanted, there = published.states(home), _there(folder)
    changed = []
    for identifier, enabled in wanted.items():
        text = shim(identifier, enabled)
        if there.pop(identifier, None) == text:
            continue
        document = folder / f"{identifier}.json"
        if not document.exists():
            write_bytes(document, published.read_document(home, identifier), durable=False)
        write_bytes(folder / f"{identifier}.py", text.encode(), durable=False)
        changed.append(f"{identifier}.py")
    for identifier in there:
        _remove(folder, identifier)
        changed.append(f"{identifier}.py")
    return [*changed, *_refresh_schedules(home, folder / _SCHEDULES)]


def _refresh_schedules(home: Home, folder: Path) -> Iterator[str]:
    wanted = schedules.revisions(home)
    if wanted:
        folder.mkdir(exist_ok=True)
    there = _there(folder) if folder.exists() else {}
    for identifier, revision in wanted.items():
        text = _SCHEDULED.format(id=identifier, revision=revision)
        if there.pop(identifier, None) == text:
            continue
        document = schedules.read_revision(home, identifier, revision)
        write_bytes(folder / f"{identifier}.json", document, durable=False)
        write_bytes(folder / f"{identifier}.py", text.encode(), durable=False)
        yield f"{_SCHEDULES}/{identifier}.py"
    for identifier in there:
        _remove(folder, identifier)
        yield f"{_SCHEDULES}/{identifier}.py"


def _remove(folder: Path, identifier: str) -> None:
    for ending in (".py", ".json"):
        (folder / f"{identifier}{ending}").unlink(missing_ok=True)


def _there(folder: Path) -> dict[str, str]:
    return dict(_texts(folder))


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    for name in os.listdir(folder):
        if name.endswith(".py") and not name.startswith("."):
            yield name.removesuffix(".py"), (folder / name).read_text(encoding="utf-8")


def published_dag(file: str, enabled: bool = True) -> DAG:
    """The DAG of the published pipeline whose document lies beside a file.

    Args:
        enabled: False makes Airflow refuse runs that are asked for; those that have begun go on.

    Raises:
        WorkspaceException: the document is damaged, or of a later release.
    """
    from airflow_aml.airflow.discovery import asked_for
    from airflow_aml.airflow.factory import TAG as FAMILY
    from airflow_aml.airflow.factory import build_dag
    from airflow_aml.airflow.refusing import refused
    from airflow_aml.definition.published import dag_id_of
    from airflow_aml.definition.spec import PipelineSpec

    document = Path(file).with_suffix(".json")
    record = published.read_text(document.read_bytes(), str(document))
    version = f" (version {record.version})" if record.version else ""
    said = "" if enabled else " (disabled)"
    return build_dag(
        PipelineSpec.from_dict(record.spec),
        dag_id=dag_id_of(record),
        folder=record.folder,
        only=asked_for()[1],
        frozen=record.frozen,
        dag_display_name=f"{record.name or 'pipeline'}{version}"[:200] + said,
        is_paused_upon_creation=False,
        tags=sorted({FAMILY, TAG} if enabled else {FAMILY, TAG, "disabled"}),
        **({} if enabled else refused()),
    )


def scheduled_dag(file: str) -> DAG:
    """The DAG of the schedule whose document lies beside a file, above it the pipelines'.

    While its pipeline is disabled it has no times.

    Raises:
        WorkspaceException: a document is damaged, or of a later release; or the pipeline is gone.
    """
    from airflow_aml.airflow.discovery import asked_for
    from airflow_aml.airflow.factory import build_dag
    from airflow_aml.airflow.submitting import submitting_dag
    from airflow_aml.codec import decode
    from airflow_aml.definition.declarations import EndpointSchedule
    from airflow_aml.definition.schedule_spec import DISABLED, ScheduleSpec
    from airflow_aml.definition.spec import PipelineSpec

    document = Path(file).with_suffix(".json")
    content = schedules.parse_revision(document.read_bytes(), str(document))
    schedule = decode(ScheduleSpec, content)
    shown: dict[str, Any] = {
        "dag_display_name": schedule.name[:200],
        "is_paused_upon_creation": False,
    }
    if schedule.endpoint:
        declared = EndpointSchedule(schedule, schedule.workspace)
        idle = asked_for()[1] is not None
        return submitting_dag(schedule.dag_id, declared, idle, **shown)
    pipeline = document.parent.parent / f"{schedule.pipeline}.json"
    if not pipeline.exists():
        raise WorkspaceException(
            f"the published pipeline {schedule.pipeline} of schedule {schedule.name!r} is not in "
            "its workspace any more."
        )
    record = published.read_text(pipeline.read_bytes(), str(pipeline))
    if _is_disabled(pipeline):
        schedule = replace(schedule, status=DISABLED)
    settings: dict[str, Any] = {"experiment_name": schedule.experiment}
    if schedule.continue_on_step_failure is not None:
        settings["continue_on_step_failure"] = schedule.continue_on_step_failure
    return build_dag(
        PipelineSpec.from_dict(record.spec),
        dag_id=schedule.dag_id,
        folder=record.folder,
        settings=settings,
        scheduled=schedule,
        only=asked_for()[1],
        frozen=record.frozen,
        description=schedule.description.partition("\n")[0] or None,
        **shown,
    )


def _is_disabled(document: Path) -> bool:
    """Whether the pipeline's own file beside its document says so."""
    own = document.with_suffix(".py")
    return own.exists() and own.read_text(encoding="utf-8") == shim(document.stem, enabled=False)
