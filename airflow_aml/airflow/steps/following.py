"""Waiting for a step's pod, in the triggerer: its lines come into the task's log meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import structlog
from aiohttp import ClientError
from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger
from airflow.triggers.base import TriggerEvent
from kubernetes_asyncio.client import ApiException, CoreV1Api

from airflow_aml.airflow.settings import open_workspace
from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.lease import LEASE_SECONDS, holder, renew
from airflow_aml.runtime.lines import Lines

ATTEMPT = "attempt"
OWN_NAMES = (ATTEMPT, "workspace", "fingerprint", "token")
"""What is in a trigger's ``trigger_kwargs``, and in its event: whose pod it is, and whose lease."""

_LINES = structlog.get_logger("airflow_aml.pods")
_BROKEN = (ApiException, ClientError, TimeoutError, OSError)
_PAUSE = 0.5
_PATIENCE = 15.0
_MARGIN = 5.0


class StepPodTrigger(KubernetesPodTrigger):
    """The provider's trigger, which sees a pod's end; here it tells its lines and keeps its lease.

    What is its own is in ``trigger_kwargs``, under :data:`OWN_NAMES`. After the loss of a triggerer
    another one tells the lines from the first one on.
    """

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How Airflow makes it again in the triggerer."""
        return f"{type(self).__module__}.{type(self).__qualname__}", super().serialize()[1]

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Fires when the pod has ended, or cannot start; its lines are all told by then."""
        log = PodLog(self)
        beside = [asyncio.create_task(log.follow()), asyncio.create_task(self._hold())]
        try:
            event = await anext(super().run())
            log.over = True
            await asyncio.wait(beside[:1], timeout=_PATIENCE)
        except asyncio.CancelledError:
            if _is_inline():  # nobody else ends the pod of a run in one process
                await self.on_kill()
            raise
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        yield event

    async def _hold(self) -> None:
        while True:
            await asyncio.sleep(LEASE_SECONDS / 5)
            with suppress(AirflowAmlError, OSError):  # at worst somebody does the same work
                await asyncio.to_thread(self._renew)

    def _renew(self) -> None:
        about = self.trigger_kwargs
        if about.get("token"):
            home = open_workspace(about["workspace"])
            lease = holder(home, about["fingerprint"])
            if lease is not None and lease.token == about["token"]:
                renew(home, lease)


def _is_inline() -> bool:
    """Whether the whole run is in this process, without a triggerer."""
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.supervisor import InProcessSupervisorComms

    return isinstance(getattr(task_runner, "SUPERVISOR_COMMS", None), InProcessSupervisorComms)


class PodLog:
    """The lines of a pod's container, each told once.

    Attributes:
        over: the container has ended; what is there now is all.
    """

    def __init__(self, trigger: KubernetesPodTrigger) -> None:
        self._trigger = trigger
        self._last = ""
        self._heard = 0.0
        self._again = False
        self.over = False

    async def follow(self) -> None:
        """Tells lines as they come, until all are told; a stream that breaks is taken up again."""
        while True:
            last = self.over
            with suppress(*_BROKEN):  # it has not started yet, or is gone
                await self._read(follow=not last)
            if last:
                return
            await asyncio.sleep(_PAUSE)

    async def _read(self, *, follow: bool) -> None:
        trigger, lines = self._trigger, Lines()
        options: dict[str, Any] = {"follow": follow, "timestamps": True, "_preload_content": False}
        self._again = bool(self._last)
        if self._again:
            options["since_seconds"] = int(time.monotonic() - self._heard + _MARGIN)
        async with trigger.hook.get_conn() as connection:
            answer: Any = await CoreV1Api(connection).read_namespaced_pod_log(
                trigger.pod_name,
                trigger.pod_namespace,
                container=trigger.base_container_name,
                **options,
            )
            async with answer:
                if answer.status != 200:
                    return
                async for chunk in answer.content.iter_any():
                    for line in lines.feed(chunk):
                        self._tell(line)
                for line in lines.finish():
                    self._tell(line)

    def _tell(self, line: str) -> None:
        stamp, _, text = line.partition(" ")
        if self._again and stamp <= self._last:  # told before the stream broke
            return
        self._again = False  # stdout and stderr are not in order to the nanosecond
        self._last, self._heard = max(stamp, self._last), time.monotonic()
        _LINES.info("%s", text)
