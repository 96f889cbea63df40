"""The list of a workspace's runs: one small document is read of each run that has ended."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Callable, List, Optional, Sequence, Tuple, TypeVar, Union

from airflow_aml.workspace.home import Home
from airflow_aml.workspace.runs import (
    DAMAGED,
    RunHead,
    StepResult,
    each_result,
    head_to_come,
    or_canceled,
    read_head,
    results,
    status_of,
)
from airflow_aml.workspace.summaries import (
    RunSummary,
    forget_summary,
    read_summary,
    write_summary,
)

_RUNS = "runs/"
_AT_ONCE = 16
_KEEPING_SECONDS = 1.0
"""So long a listing keeps summaries that are missing; those to come do the rest."""

_T = TypeVar("_T")
_U = TypeVar("_U")


def listing(home: Home, of: Optional[str] = None, last: Optional[int] = None) -> List[RunSummary]:
    """The workspace's runs, newest first.

    Args:
        of: the DAG or experiment whose runs are wanted.
        last: so many of the newest.
    """
    names = [name.rstrip("/") for name in home.store.children(_RUNS)]
    found = [each for each in _of_each(home, _line, names) if each is not None]
    wanted = [each for each in found if of in (None, each.dag_id, each.experiment)]
    wanted.sort(key=lambda each: (each.created, each.id), reverse=True)
    until = time.monotonic() + _KEEPING_SECONDS

    def summarised(home: Home, line: Union[RunSummary, RunHead]) -> RunSummary:
        if isinstance(line, RunSummary):
            return line
        return summarise(home, line, keep=time.monotonic() < until)

    return _of_each(home, summarised, wanted[:last])


def place_of(home: Home, experiment: str, pipeline_run_id: str) -> Optional[int]:
    """Which of the experiment's runs that is, from 1, in the order in which they were created.

    A run that was submitted was created then, not when it got to its plan: or runs that wait for
    Airflow side by side would change places.
    """

    def created(home: Home, line: Union[RunSummary, RunHead]) -> Tuple[str, str]:
        submitted = head_to_come(home, line.id)
        return (submitted or line).created, line.id

    names = [name.rstrip("/") for name in home.store.children(_RUNS)]
    lines = [each for each in _of_each(home, _line, names) if each is not None]
    among = [each for each in lines if each.experiment == experiment]
    order = sorted(_of_each(home, created, among))
    ids = [run_id for _, run_id in order]
    return ids.index(pipeline_run_id) + 1 if pipeline_run_id in ids else None


def summarise(home: Home, head: RunHead, keep: bool = True) -> RunSummary:
    """What a listing says of a run; kept for the next one, unless the run has not ended."""
    found = _summary(head, results(home, head))
    if keep and found.status != "Unfinished" and not head.by_hand:
        _keep(home, found)
    return found


def _of_each(home: Home, look: Callable[[Home, _T], _U], things: Sequence[_T]) -> List[_U]:
    """What such a look at each of them finds; in an object store many are looked at at once."""
    if home.is_local:
        return [look(home, each) for each in things]
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda each: look(home, each), things))


def _line(home: Home, pipeline_run_id: str) -> Union[RunSummary, RunHead, None]:
    return (
        read_summary(home, pipeline_run_id)
        or read_head(home, pipeline_run_id, by_hand=True)
        or head_to_come(home, pipeline_run_id)
    )


def _summary(head: RunHead, steps: List[StepResult]) -> RunSummary:
    return RunSummary(
        head.id,
        head.dag_id,
        head.run_id,
        head.experiment,
        head.created,
        status_of(steps),
        len(steps),
        sum(each.status == "Finished" for each in steps),
        sum(each.status == "Reused" for each in steps),
        round(sum(each.seconds for each in steps if each.status == "Finished"), 3),
        round(sum(each.saved_seconds for each in steps), 3),
    )


def keep_if_last(home: Home, pipeline_run_id: str) -> None:
    """Keeps a run's summary when the last of its steps has ended."""
    head = read_head(home, pipeline_run_id)
    if head is None:
        return
    done: List[StepResult] = []
    with suppress(*DAMAGED):
        for each in each_result(home, head, list(head.steps)[::-1]):  # what ends last comes first
            if each.status == "NotStarted":
                return
            done.append(each)
        _keep(home, _summary(head, or_canceled(home, head, done[::-1])))


def _keep(home: Home, summary: RunSummary) -> None:
    """Keeps it unless the run changes meanwhile. To keep none is no failure."""
    with suppress(*DAMAGED):
        write_summary(home, summary)
        head = read_head(home, summary.id)
        if head is None or _summary(head, results(home, head)) != summary:
            forget_summary(home, summary.id)
