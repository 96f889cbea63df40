"""Published pipelines as DAG files: one small file for each, which Airflow parses by itself.

A bundle keeps a local folder with them. :func:`refresh` costs one listing of the workspace where
nothing was published; a document is copied once, as it never changes. Airflow parses from that
folder, so that no parse touches the workspace, and a damaged document is one import error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_aml.workspace import published
from airflow_aml.workspace.documents import write_bytes

if TYPE_CHECKING:
    from airflow.sdk import DAG

    from airflow_aml.workspace.home import Home

TAG = "published"

_SHIM = """\
# A DAG of Airflow: published pipeline {id}
from airflow_aml.airflow.published import published_dag

dag = published_dag(__file__, enabled={enabled})
"""


def shim(identifier: str, enabled: bool) -> str:
    """The text of the file that stands for a published pipeline."""
    return _SHIM.format(id=identifier, enabled=enabled)


def refresh(home: Home, folder: Path) -> list[str]:
    """Brings a folder up to date with what is published in a workspace.

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
        for ending in (".py", ".json"):
            (folder / f"{identifier}{ending}").unlink(missing_ok=True)
        changed.append(f"{identifier}.py")
    return changed


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
