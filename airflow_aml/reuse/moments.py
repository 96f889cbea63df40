"""When a record was made, in an order that holds although a clock is set back."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from airflow_aml.reuse import layout
from airflow_aml.reuse.records import now

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home


def next_moment(home: Home, fingerprint: str) -> str:
    """The time of a new record: now, but later than all that are there.

    The newest record is the one that is used, so that after a run that was forced the earlier
    result must never come back, not even one of a day that is still to come.

    Raises:
        WorkspaceException: the store cannot be listed.
    """
    moment = now()
    newest = max(map(_time, home.store.children(layout.records(fingerprint))), default="")
    if newest < moment:
        return moment
    later = datetime.fromisoformat(newest) + timedelta(microseconds=1)
    return later.isoformat(timespec="microseconds")


def _time(name: str) -> str:
    """The time in the name of a record; empty if it is no such name."""
    try:
        moment = datetime.fromisoformat(name.partition("-")[0])
    except ValueError:
        return ""
    return moment.isoformat(timespec="microseconds") if moment.tzinfo is not None else ""
