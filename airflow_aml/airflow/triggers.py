"""The trigger that watches a folder of a datastore; Airflow's triggerer runs it.

What has changed is in the journal before anything is told of it, and runs take it from there. So an
event that is lost or told twice, or a triggerer that is killed at any moment, costs nothing but
time: what the last entry is that was told for certain is kept in Airflow's asset state store, and
whoever goes on tells those after it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_aml.airflow.settings import open_workspace
from airflow_aml.workspace.watching import FolderWatch, Look

TOLD = "told"
"""The key of the asset state store that has the journal's identity and the last entry told."""

CERTAIN_SECONDS = 6.0
"""After so long an event is in Airflow's database: the triggerer hands it on every second."""

_RESTLESS_SECONDS = 1.0
_LONGEST_WAITS = 10.0
_RETRY_SECONDS = 15.0


class DatastoreTrigger(BaseEventTrigger):
    """Tells of new and changed files in a folder of a datastore.

    Args:
        workspace: the workspace's name.
        datastore: the datastore's name; empty for the default one.
        path: the folder; empty for the whole datastore.
        interval: seconds from look to look.
        quiet: for so many seconds nothing of a file may have changed before it counts.
    """

    def __init__(
        self, workspace: str, datastore: str, path: str, interval: float, quiet: float
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.workspace = workspace
        self.datastore = datastore
        self.path = path
        self.interval = interval
        self.quiet = quiet
        self._watch: FolderWatch | None = None
        self._identity = ""
        self._told: int | None = None
        self._uncertain: tuple[int, float] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class and what it is made with."""
        return f"{__name__}.{type(self).__name__}", {
            "workspace": self.workspace,
            "datastore": self.datastore,
            "path": self.path,
            "interval": self.interval,
            "quiet": self.quiet,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Looks, for ever; an event has what the runs and people are told of the change.

        A store that cannot be used is one warning, and is looked at again.
        """
        trouble = ""
        while True:
            try:
                payload, wait = await self._look()
                if payload is not None:
                    yield TriggerEvent(payload)  # type: ignore[no-untyped-call]
                trouble = self._mended(trouble)
            except Exception as error:  # noqa: BLE001 - a trigger that ends is begun again at once
                trouble = self._troubled(trouble, error)
                wait = min(self.interval, _RETRY_SECONDS)
                if self._watch is not None:
                    self._watch.close()
            await asyncio.sleep(wait)

    async def _look(self) -> tuple[dict[str, Any] | None, float]:
        """What is to be told now, if anything, and after how many seconds it looks again."""
        if self._watch is None:
            self._watch = await asyncio.to_thread(self._open)
        watch, payload = self._watch, None
        look = await asyncio.to_thread(watch.look, time.monotonic())
        if self._told is None:
            self._told = await self._read_told(watch, look)
        reached, since = self._uncertain or (self._told, time.monotonic())
        if look.last > reached:
            payload = await asyncio.to_thread(watch.tell, self._told, look.last)
            self._uncertain = (look.last, time.monotonic())
        elif self._uncertain and time.monotonic() - since >= CERTAIN_SECONDS:
            await self._write_told(reached)
            self._told, self._uncertain = reached, None
        return payload, self._wait(look)

    def _open(self) -> FolderWatch:
        return FolderWatch(
            open_workspace(self.workspace),
            self.datastore,
            self.path,
            self.quiet,
            max(self.interval, _LONGEST_WAITS * self.quiet),
            lambda sentence: self.log.warning("%s: %s", self._place, sentence),
        )

    def _wait(self, look: Look) -> float:
        if look.restless:
            return min(self.interval, max(self.quiet / 2, 0.1), _RESTLESS_SECONDS)
        return min(self.interval, CERTAIN_SECONDS) if self._uncertain else self.interval

    async def _read_told(self, watch: FolderWatch, look: Look) -> int:
        """The last entry that was told; of a journal that nobody has told of, its last one."""
        identity: str | None = await asyncio.to_thread(watch.journal.identity)
        self._identity = identity or ""
        kept: Any = await self.asset_state_store.aget(TOLD) if self.asset_state_store else None
        if isinstance(kept, dict) and kept.get("baseline") == self._identity:
            return min(int(kept["entry"]), look.last)
        await self._write_told(look.last)
        return look.last

    async def _write_told(self, entry: int) -> None:
        if self.asset_state_store:
            await self.asset_state_store.aset(TOLD, {"baseline": self._identity, "entry": entry})

    def _troubled(self, before: str, error: Exception) -> str:
        text = f"{type(error).__name__}: {error}"
        if text != before:
            self.log.warning(
                "%s cannot be looked at; it is tried again every %g seconds: %s",
                self._place,
                min(self.interval, _RETRY_SECONDS),
                text,
            )
        return text

    def _mended(self, before: str) -> str:
        if before:
            self.log.info("%s can be looked at again", self._place)
        return ""

    @property
    def _place(self) -> str:
        where = self.path or "all of it"
        return f"datastore {self.datastore or 'by default'!r}, {where} ({self.workspace})"
