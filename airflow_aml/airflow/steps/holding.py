"""Holding the lease on a result while a step makes it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow.sdk.exceptions import TaskDeferred

from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.lease import LEASE_SECONDS, Lease, release, renew

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home


@contextmanager
def held(home: Home, lease: Lease) -> Iterator[None]:
    """Inside, a lease that was taken is renewed; at the end it is given up.

    A step that goes on without this process, as one in a pod does, keeps its lease: whoever watches
    it renews that. A store that does not answer meanwhile does no harm: at worst somebody else does
    the same work.
    """
    over = threading.Event()

    def keep() -> None:
        while not over.wait(LEASE_SECONDS / 5):
            with suppress(AirflowAmlError, OSError):
                renew(home, lease)

    thread = threading.Thread(target=keep, name="lease", daemon=True)
    thread.start()
    deferred = False
    try:
        yield
    except TaskDeferred:
        deferred = True
        raise
    finally:
        over.set()
        with suppress(AirflowAmlError, OSError):
            if deferred:
                renew(home, replace(lease, owner=replace(lease.owner, process=None)))
            else:
                release(home, lease)
