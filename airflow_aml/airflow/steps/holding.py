"""Holding the lease on a result while a step makes it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.lease import LEASE_SECONDS, Lease, release, renew

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home


@contextmanager
def held(home: Home, lease: Lease) -> Iterator[None]:
    """Inside, a lease that was taken is renewed; at the end it is given up.

    A store that does not answer meanwhile does no harm: at worst somebody else does the same work.
    """
    over = threading.Event()

    def keep() -> None:
        while not over.wait(LEASE_SECONDS / 5):
            with suppress(AirflowAmlError, OSError):
                renew(home, lease)

    thread = threading.Thread(target=keep, name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        with suppress(AirflowAmlError, OSError):
            release(home, lease)
