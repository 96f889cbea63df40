"""Steps whose workspace is in an object store, reached over a wire that can be cut."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
import uuid
from pathlib import Path
from typing import Callable

from airflow_aml.runtime.child import run_job
from airflow_aml.runtime.inline import InlineRuntime
from airflow_aml.runtime.job import JobInput, JobOutput, StepJob, StepReport
from airflow_aml.workspace import layout
from airflow_aml.workspace.committed import Committed, find_document, parsed
from airflow_aml.workspace.home import Home, open_home
from airflow_aml.workspace.snapshots import take
from airflow_aml.workspace.stores import open_store
from airflow_aml.workspace.stores.base import Store
from scripts.test_servers import Server
from scripts.wire import Wire


class RemoteLab:
    """A remote workspace, and steps to run in it."""

    def __init__(self, folder: Path, server: Server, url: str, wire: Wire) -> None:
        self.folder = folder
        self.wire = wire
        self.store: Store = open_store(url, server.options)
        options = server.options_at(wire.port)
        self.home: Home = open_home(url, options=server.options)
        self.stores = json.dumps({url: options})
        self.lines: list[str] = []

    def job(self, text: str, /, *, run_id: str = "", attempt: str = "", **members) -> StepJob:
        """A job whose script is that text, with one output, ``out``."""
        attempt = attempt or uuid.uuid4().hex
        run_id = run_id or str(uuid.uuid4())
        source = self.folder / f"src-{attempt}"
        source.mkdir()
        (source / "step.py").write_text(text, encoding="utf-8")
        work = self.folder / f"work-{attempt}"
        work.mkdir()
        view = members.pop("view", None)
        output = JobOutput(
            "out",
            staging=str(work / "staging" / "out"),
            destination=self.home.uri(layout.data(run_id, "out")),
            view=view and self.home.uri(view),
            style=members.pop("style", "dataset"),
            overwrite=members.pop("overwrite", True),
            manifest=self.home.uri(layout.manifest(run_id, "out")),
        )
        return StepJob(
            attempt=attempt,
            run_id=run_id,
            root_run_id="root",
            step="a step",
            work=str(work),
            snapshot=self.home.uri(layout.snapshot(take(source, self.home).digest)),
            script="step.py",
            interpreter=sys.executable,
            record=self.home.uri(f"record/{attempt}"),
            outputs=(output,),
            kill_after=5.0,
            cache=str(self.folder / "cache"),
            **members,
        )

    def run(self, job: StepJob | str, **members) -> StepReport:
        """Runs a job, or a script, in a process of its own."""
        job = self.job(job, **members) if isinstance(job, str) else job
        self.lines = []
        return run_job(job, self.lines.append, stores=self.stores)

    def run_here(self, job: StepJob) -> StepReport:
        """Runs a job in this process."""
        self.lines = []
        return InlineRuntime(job, self.lines.append, self.stores).run()

    def committed(self, uri: str) -> Committed | None:
        """What the manifest of the output at that URI says, if it has one."""
        path = find_document(self.home, uri)
        return parsed(self.store.read(path), path) if path else None

    def paths(self, prefix: str = "data/") -> list[str]:
        """What is in the store."""
        return [each.path for each in self.store.find(prefix)]

    def when(self, files: int, act: Callable[[], None], below: str = "data/") -> threading.Thread:
        """Does something as soon as so many files are there; by default of all steps together."""

        def watch() -> None:
            deadline = time.monotonic() + 60
            while len(self.paths(below)) < files and time.monotonic() < deadline:
                time.sleep(0.005)
            act()

        thread = threading.Thread(target=watch)
        thread.start()
        return thread


def reading(uri: str, manifest: str, **members) -> JobInput:
    """An input that is a committed output."""
    return JobInput("in", (uri,), None, True, manifest=manifest, **members)


def is_hard_link(path: str) -> bool:
    """Whether a file has another name: an entry of the cache."""
    return os.stat(path).st_nlink > 1
