"""Waiting for a task that is at work on the same result, without holding a worker's slot."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance
from airflow.triggers.base import BaseTrigger, TriggerEvent
from asgiref.sync import sync_to_async

from airflow_aml.airflow.settings import open_workspace
from airflow_aml.reuse.lease import LEASE_SECONDS, Lease, holder

_LONGEST_ANSWER = 60.0
_ENDED = ("success", "failed", "skipped", "removed", "upstream_failed", "up_for_retry")


class ResultTrigger(BaseTrigger):
    """Fires when nobody is at work on a result any more.

    Args:
        workspace: name of the workspace, as the pipeline has it.
        fingerprint: of the result.
        poll_seconds: time between two looks.
        patience_seconds: a lease that was not renewed for that long while this looked is nobody's,
            whatever time it names: the clock that it is told by may have been set back.
    """

    def __init__(
        self,
        workspace: str,
        fingerprint: str,
        poll_seconds: float = 1.0,
        patience_seconds: float = LEASE_SECONDS,
    ):
        super().__init__()  # type: ignore[no-untyped-call]
        self.workspace = workspace
        self.fingerprint = fingerprint
        self.poll_seconds = poll_seconds
        self.patience_seconds = patience_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How Airflow makes it again in the triggerer."""
        values = {
            "workspace": self.workspace,
            "fingerprint": self.fingerprint,
            "poll_seconds": self.poll_seconds,
            "patience_seconds": self.patience_seconds,
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", values

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Looks now and then; after any error the step looks for itself."""
        gone = ""
        seen, since = None, 0.0
        try:
            home = await asyncio.to_thread(open_workspace, self.workspace)
            while (lease := await asyncio.to_thread(holder, home, self.fingerprint)) is not None:
                if lease != seen:
                    seen, since = lease, time.monotonic()
                silent = time.monotonic() - since
                over = silent > self.patience_seconds or lease.owner.is_gone()
                if over or await asyncio.wait_for(_has_ended(lease), _LONGEST_ANSWER):
                    gone = lease.token
                    break
                await asyncio.sleep(self.poll_seconds)
        except Exception as error:  # noqa: BLE001 - a waiter must never be stuck
            self.log.warning("the lease could not be watched: %s: %s", type(error).__name__, error)
        yield TriggerEvent({"gone": gone})  # type: ignore[no-untyped-call]


async def _has_ended(lease: Lease) -> bool:
    """Whether this Airflow knows the owner's task instance, and that it does not run."""
    owner = lease.owner
    states = await sync_to_async(RuntimeTaskInstance.get_task_states)(
        dag_id=owner.dag_id, task_ids=[owner.task_id], run_ids=[owner.run_id]
    )
    return states.get(owner.run_id, {}).get(owner.task_id) in _ENDED
