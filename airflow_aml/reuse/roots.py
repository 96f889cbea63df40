"""What in a workspace is still needed, by what its documents mention.

Documents are read as text: every id and every digest in one that is kept keeps what it names. So a
document of a kind that is not known here keeps more than it must, and never less.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse import layout as places
from airflow_aml.reuse.index import Index
from airflow_aml.reuse.passing import DAY, Named, keeping
from airflow_aml.reuse.records import StepRecord, age
from airflow_aml.workspace import layout
from airflow_aml.workspace.runs import RunHead, heads, results, status_of

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_DIGEST = re.compile(r"[a-z0-9]+[:-]([0-9a-f]{64})(?![0-9a-f])")
_RECORD = re.compile(rf"{places.ROOT}/[0-9a-f]{{2}}/[0-9a-f]{{64}}/.+\.json")
_IN_RUN = re.compile(rf"runs/({_ID.pattern})/")
_SAVED = "registry/definition/"
_RUNS = "runs/"

RUNNING_SECONDS = 7 * 86400.0
"""A run that has not finished is taken for a running one for that long."""


@dataclass(frozen=True)
class Keep:
    """What the caller wants kept.

    Attributes:
        older_than: seconds; what is younger stays.
        keep_last: so many of the newest runs of each DAG and results of each step stay.
        alive: pipeline-run ids of runs that are known to be running.
        at: the moment that counts as now, with its time zone.
    """

    older_than: float
    keep_last: int = 1
    alive: Container[str] = ()
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


@dataclass
class Needed:
    """What is needed, and what of runs and records is not.

    Attributes:
        ids: of runs and step runs.
        lasting: those among them whose data is needed however long its datastore keeps it: what is
            registered, running, reused by results that stay, or of a DAG's last good run.
        named: places in datastores that registered things name.
        digests: of snapshots, environments and inputs, without their algorithm's name.
        runs: ids of the pipeline runs to remove.
        headless: ids of runs that nobody planned: steps in a hand-written DAG. Their age is not
            known, and what their documents mention is needed as long as these are there.
        makers: ids of the pipeline runs that made results that stay: who reuses one is shown its
            metrics, files and logs.
        records: path -> record of those to remove.
        damaged: paths of records that no release can read.
        unreadable: sentences about what could not be understood, and therefore stays.
    """

    ids: set[str] = field(default_factory=set)
    lasting: set[str] = field(default_factory=set)
    digests: set[str] = field(default_factory=set)
    runs: list[str] = field(default_factory=list)
    headless: list[str] = field(default_factory=list)
    makers: set[str] = field(default_factory=set)
    records: dict[str, StepRecord] = field(default_factory=dict)
    damaged: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)

    named: Named | None = None

    def mentions(self, text: str, lasting: bool = True) -> None:
        """Everything that such a text names is needed."""
        found = _ID.findall(text)
        self.ids.update(found)
        if lasting:
            self.lasting.update(found)
        self.digests.update(_DIGEST.findall(text))


def needed(home: Home, keep: Keep) -> Needed:
    """What a workspace still needs.

    Raises:
        WorkspaceException: the store cannot be read; nothing may be removed then.
    """
    result = Needed(named=Named(home))
    in_runs: set[str] = set()
    for text in _texts(home, "registry/", skip=_SAVED):
        result.mentions(text)
        assert result.named is not None
        result.named.read(*text.split("\n", 1))
        in_runs.update(_IN_RUN.findall(text))
    planned: set[str] = set()
    for head, stays, lasting in _runs(home, keep, exact=bool(_keep_days(home))):
        planned.add(head.id)
        if stays:
            steps = (layout.step_run_id(head.id, task_id) for task_id in head.steps)
            result.mentions("\n".join(steps), lasting)
            _keep_run(home, head.id, result, lasting)
        elif head.id not in in_runs:
            result.runs.append(head.id)
    for name in home.store.children(_RUNS):
        run = name.rstrip("/")
        if run not in planned and run not in in_runs:
            result.headless.append(run)
            _keep_run(home, run, result)
    _keep_records(home, keep, result)
    result.runs = [run for run in result.runs if run not in result.makers]
    return result


def _texts(home: Home, prefix: str, skip: str = "\0") -> Iterator[str]:
    for each in home.store.find(prefix):
        if not each.path.startswith(skip) and each.path.endswith(".json"):
            try:
                yield f"{each.path}\n{home.store.read(each.path).decode('utf-8', 'replace')}"
            except FileNotFoundError:  # it went meanwhile
                continue


def _runs(home: Home, keep: Keep, exact: bool) -> Iterator[tuple[RunHead, bool, bool]]:
    """Every run, newest first, whether it stays, and whether for more than its age.

    The latter has to be asked of every young run, and is only if ``exact``.
    """
    seen: dict[str, int] = {}
    good: set[str] = set()
    for head in heads(home):
        number = seen[head.dag_id] = seen.get(head.dag_id, 0) + 1
        last = datetime.fromisoformat(head.planned or head.created)
        seconds = (keep.at - last).total_seconds()
        lasting = head.id in keep.alive
        stays = seconds < keep.older_than or number <= keep.keep_last or lasting
        young = seconds < RUNNING_SECONDS
        if head.dag_id not in good or (young and (exact or not stays)):
            status = _status(home, head)
            if status == "Finished" and head.dag_id not in good:
                good.add(head.dag_id)
                lasting = True
            lasting = lasting or (status == "Unfinished" and young)
        yield head, stays or lasting, lasting


def _status(home: Home, head: RunHead) -> str:
    try:
        found = results(home, head)
    except (AirflowAmlError, ValueError, LookupError, TypeError, AttributeError):
        return "Unfinished"
    # Beside a step that has failed others may still be at work.
    waiting = any(each.status == "NotStarted" for each in found)
    return "Unfinished" if waiting else status_of(found)


def _keep_run(home: Home, run: str, result: Needed, lasting: bool = True) -> None:
    folder = f"{layout.run(run)}/"
    for each in home.store.find(folder):
        result.mentions(each.path, lasting)
        # What scripts left there is theirs, not ours to read.
        left = any(part in each.path[len(folder) :] for part in ("/outputs/", "/files/"))
        if not left and each.path.endswith(".json"):
            try:
                text = home.store.read(each.path).decode("utf-8", "replace")
                result.mentions(text, lasting)
            except FileNotFoundError:
                continue


def _keep_records(home: Home, keep: Keep, result: Needed) -> None:
    index = Index(home)
    found: list[tuple[str, StepRecord]] = []
    for each in home.store.find(f"{places.ROOT}/"):
        if _RECORD.fullmatch(each.path):
            record = index.read(each.path, result.unreadable.append)
            if record is not None:
                found.append((each.path, record))
            else:
                _keep_unread(home, each.path, result)
                if index.is_damaged(each.path):
                    result.damaged.append(each.path)
    days = _keep_days(home)
    counted: dict[tuple[str, str, int], int] = {}
    expired: dict[str, StepRecord] = {}
    for path, record in sorted(found, key=lambda pair: pair[1].created, reverse=True):
        step = (record.dag_id, record.task_id, record.map_index)
        number = counted[step] = counted.get(step, 0) + 1
        seconds = age(record, keep.at)
        stays = seconds < keep.older_than or number <= keep.keep_last
        if any(
            output.uri.startswith(url) and seconds > most
            for output in record.outputs.values()
            for url, most in days
        ):
            expired[path] = record
        elif stays or record.step_run_id in result.ids:
            keep_record(record, result)
        else:
            result.records[path] = record
    # A record that was set aside before its neighbour kept the same data stays with that data.
    for path in [path for path, each in result.records.items() if each.step_run_id in result.ids]:
        keep_record(result.records.pop(path), result)
    result.records.update(expired)


def keep_record(record: StepRecord, result: Needed) -> None:
    """A record stays, and with it what it leads to."""
    result.mentions(record.step_run_id)
    result.makers.add(record.pipeline_run_id)
    inputs = record.key.get("inputs")
    contents = [each.get("content") for each in inputs.values()] if inputs else []
    resolved = [each.get("resolved") or {} for each in record.hidden_reads]
    contents += [each.get("content") for each in resolved]
    uris = [output.uri for output in record.outputs.values()]
    for text in (record.snapshot, record.environment, *contents, *uris):
        result.mentions(str(text))


def _keep_unread(home: Home, path: str, result: Needed) -> None:
    """Of a later release, or damaged: it stays, and so does all that it names."""
    with suppress(FileNotFoundError):
        result.mentions(f"{path}\n{home.store.read(path).decode('utf-8', 'replace')}")


def _keep_days(home: Home) -> list[tuple[str, float]]:
    """(URL, seconds) of each datastore that keeps intermediate data for so long only."""
    return [
        (f"{each.url.rstrip('/')}/", each.keep_days * DAY)
        for each in keeping(home)
        if each.keep_days is not None
    ]


def ids_in(text: str) -> Iterable[str]:
    """The ids of runs that a path or name holds."""
    return _ID.findall(text)
