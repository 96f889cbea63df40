"""What a listing says of a run that has ended, in one small document.

The document only says again what others say. So whoever changes one of those removes it, before
and after; whoever writes it looks at those once more afterwards, and takes it back if they have
changed. Then it is never left behind by a task that was cleared, and to lose it costs the next
listing a longer look at that run.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Iterator, Optional

from airflow_aml.codec import decode
from airflow_aml.errors import AirflowAmlError
from airflow_aml.workspace import layout
from airflow_aml.workspace.documents import write_json
from airflow_aml.workspace.home import Home

SUMMARY_VERSION = 1


@dataclass(frozen=True)
class RunSummary:
    """One pipeline run in a listing.

    Attributes:
        status: as :func:`~airflow_aml.workspace.runs.status_of` has it.
        steps, ran, reused: how many.
        seconds: that the steps took which ran to their end; saved_seconds: that those which are
            reused took.
    """

    id: str
    dag_id: str
    run_id: str
    experiment: str
    created: str
    status: str
    steps: int
    ran: int
    reused: int
    seconds: float
    saved_seconds: float
    version: int = SUMMARY_VERSION


def read_summary(home: Home, pipeline_run_id: str) -> Optional[RunSummary]:
    """The summary of a run; None if there is none, or none of this release."""
    try:
        found = decode(RunSummary, json.loads(home.store.read(layout.summary(pipeline_run_id))))
    except (AirflowAmlError, OSError, ValueError):
        return None
    whole = found.version == SUMMARY_VERSION and found.id == pipeline_run_id
    return found if whole else None


def write_summary(home: Home, summary: RunSummary) -> None:
    """Keeps it, in a folder of a run that is there.

    Raises:
        WorkspaceException, OSError: it cannot be written.
    """
    path, document = layout.summary(summary.id), asdict(summary)
    if home.is_local:  # nobody waits for the disk: after a power cut it is not needed
        write_json(home.path(path), document, durable=False)
    else:
        home.store.write(path, json.dumps(document).encode())


def forget_summary(home: Home, pipeline_run_id: str) -> None:
    """Removes the summary of a run, if there is one.

    Raises:
        WorkspaceException: it cannot be removed.
    """
    home.store.delete([layout.summary(pipeline_run_id)])


@contextmanager
def changing(home: Home, pipeline_run_id: str) -> Iterator[None]:
    """Inside, a document is written that says how a step of the run has ended.

    Raises:
        WorkspaceException: the store cannot be used.
    """
    forget_summary(home, pipeline_run_id)  # should this process be killed before the end
    yield
    forget_summary(home, pipeline_run_id)  # somebody may have written one meanwhile
