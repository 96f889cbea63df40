"""``airflow-aml explain`` and ``airflow-aml runs``: what a workspace tells of its runs."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

from airflow_aml.cli.tables import counted, fitted, labels, moment, plain, room
from airflow_aml.definition.runs.overview import ended_or_lost, seen
from airflow_aml.errors import UserErrorException, WorkspaceException
from airflow_aml.reuse.lookup import duration
from airflow_aml.reuse.price import Price, configured
from airflow_aml.workspace.home import default_url, open_home
from airflow_aml.workspace.listing import listing
from airflow_aml.workspace.plans import read_plan
from airflow_aml.workspace.runs import (
    UNKNOWN,
    RunHead,
    StepResult,
    heads,
    read_head,
    results,
)

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.summaries import RunSummary

LATEST = "latest"
_MOST_NAMES = 10
_MOST_SIGNS = 24
_ABOUT_ONE = ("show", "compare", "plot")
"""Words that say what to do with a run, where one follows."""


def add_explain(verbs: Any) -> None:
    """Adds ``explain RUN [STEP]``."""
    parser = verbs.add_parser("explain", help="why each step of a run ran or was reused")
    parser.add_argument(
        "run", metavar="RUN", help="a run's id, Airflow's id of it, or 'latest' (see --dag)"
    )
    parser.add_argument("step", metavar="STEP", nargs="?", help="one step alone")
    parser.add_argument("--dag", metavar="DAG", help="the DAG whose run is meant")
    parser.add_argument(
        "--diff", action="store_true", help="show what changed in the sources since the run before"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(verb=_explain)


def add_runs(verbs: Any) -> None:
    """Adds ``runs [DAG|EXPERIMENT]``."""
    parser = verbs.add_parser("runs", help="the workspace's runs, and what reuse has saved")
    parser.add_argument("name", metavar="DAG|EXPERIMENT", nargs="?", help="of these alone")
    parser.add_argument("--last", metavar="N", type=_count, help="the newest N alone")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.set_defaults(verb=_runs)


def _explain(arguments: argparse.Namespace) -> int:
    home = open_home(default_url(os.environ))
    head = find_run(home, arguments.run, arguments.dag)
    steps = _chosen(_with_reasons(home, head), arguments.step)
    diffs = _diffs(home, head, steps) if arguments.diff else {}
    if arguments.json:
        rows = [{**asdict(each), **_with_diff(diffs, each.task_id)} for each in steps]
        print(json.dumps({**_about(head), "steps": rows}))
        return 0
    print(f"run {called(head)}, begun {moment(head.created) if head.created else UNKNOWN}")
    names = [plain(each) for each in labels((each.name, each.task_id) for each in steps)]
    width = max(map(len, names), default=0)
    for name, each in zip(names, steps, strict=True):
        first, *more = each.reason.splitlines() or [""]
        print(f"{each.status:>10}  {name:<{width}}  {plain(first)}".rstrip())
        for text in more:
            print(f"            {plain(text)}")
        sys.stdout.write(diffs.get(each.task_id, ""))
    if arguments.diff:
        _say_what_has_no_diff(
            dict(zip((each.task_id for each in steps), names, strict=True)), diffs
        )
    return 0


def _with_reasons(home: Home, head: RunHead) -> list[StepResult]:
    """The run's steps; those that were lost, or kept from starting, with why that was."""
    return seen(home, head, results(home, head))


def _say_what_has_no_diff(names: Mapping[str, str], diffs: Mapping[str, str]) -> None:
    missing = [name for task_id, name in names.items() if task_id not in diffs]
    if missing:
        which = f" of {', '.join(missing)}" if diffs else ""
        print(f"no earlier sources{which} are kept to compare with")
    if diffs and not any(diffs.values()):
        print("no step's sources changed since an earlier run of it")


def called(run: Any) -> str:
    """A run with all of its names; one that a program began by itself has no DAG."""
    of_dag = f": {run.run_id} of {run.dag_id}"
    return plain(f"{run.id}{of_dag}" if run.dag_id else f"{run.id} of experiment {run.experiment}")


def find_run(home: Home, wanted: str, dag: str | None = None) -> RunHead:
    """The run that is meant.

    Args:
        wanted: a pipeline-run id, an Airflow run id, or ``latest``.
        dag: the DAG that it is of.

    Raises:
        UserErrorException: there is none, or several.
    """
    head = read_head(home, wanted, by_hand=True) if "/" not in wanted else None
    if head is not None:
        return head
    known = heads(home, by_hand=True, to_come=True)
    found = [
        each
        for each in known
        if (dag is None or each.dag_id == dag) and wanted in (LATEST, each.id, each.run_id)
    ]
    if not found:
        of_dag = f" of DAG {dag!r}" if dag else ""
        raise UserErrorException(
            f"the workspace {home.url} has no run {wanted!r}{of_dag}.", hint=_hint(wanted, known)
        )
    dags = sorted({each.dag_id for each in found})
    if wanted != LATEST and len(dags) > 1:
        raise UserErrorException(
            f"several DAGs have a run {wanted!r}: {', '.join(dags)}.", hint="Say which with --dag."
        )
    return found[0]


def _hint(wanted: str, known: Sequence[RunHead]) -> str:
    """The runs whose names are like that, or the newest."""
    names = {name: each for each in reversed(known) for name in (each.id, each.run_id)}
    near = [names[name] for name in get_close_matches(wanted, names, n=3, cutoff=0.75)]
    shown = [
        f"{each.run_id} of {each.dag_id}" if each.dag_id else called(each)
        for each in near or known[:3]
    ]
    if not shown:
        return "It has none at all."
    listed = ", ".join(dict.fromkeys(shown))
    return f"Did you mean {listed}?" if near else f"Its newest are {listed}."


def _chosen(steps: list[StepResult], wanted: str | None) -> list[StepResult]:
    if wanted is None:
        return steps
    chosen = [each for each in steps if wanted in (each.name, each.task_id)]
    if not chosen:
        raise UserErrorException(
            f"the run has no step {wanted!r}; it has {', '.join(each.name for each in steps)}."
        )
    return chosen


def _diffs(home: Home, head: RunHead, steps: Sequence[StepResult]) -> dict[str, str]:
    """What changed in each step's sources since the run before that has a result of it.

    A step without such a run, which may be its first or be left alone by gc, is not in it.
    """
    plan = read_plan(home, head.id)
    if plan is None:
        return {}
    wanted = {each.task_id for each in steps if each.task_id in plan.steps}
    diffs: dict[str, str] = {}
    for earlier in heads(home):
        if not wanted:
            break
        if earlier.dag_id != head.dag_id or earlier.created >= head.created:
            continue
        before = read_plan(home, earlier.id)
        done = {each.task_id for each in results(home, earlier) if each.fingerprint}
        for task_id in sorted(wanted & done):
            if before is not None and task_id in before.steps:
                wanted.discard(task_id)
                old, new = before.steps[task_id].snapshot, plan.steps[task_id].snapshot
                diffs[task_id] = _diff(home, old, new)
    return diffs


def _diff(home: Home, old: str, new: str) -> str:
    if old == new:
        return ""
    from airflow_aml.reuse.sources import diff

    try:
        return diff(old, new, home)
    except (FileNotFoundError, ValueError, WorkspaceException) as error:
        return f"the sources cannot be compared: {error}\n"


def _with_diff(diffs: dict[str, str], task_id: str) -> dict[str, str]:
    return {"diff": diffs[task_id]} if diffs.get(task_id) else {}


def _runs(arguments: argparse.Namespace) -> int:
    home = open_home(default_url(os.environ))
    rows = [_row(home, each) for each in listing(home, arguments.name, arguments.last)]
    if arguments.name is not None and not rows:
        print(f"airflow-aml: {_nothing_of(arguments.name, home)}", file=sys.stderr)
    price = configured(os.environ)
    total = _total(rows, price)
    if arguments.json:
        print(json.dumps({"runs": rows, "total": total}))
        return 0
    for line in _lines(rows):
        print(line)
    print(_total_line(total, price))
    return 0


def _lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """A line for each run; its id is whole, as others are to be told it."""
    most = None if room() is None else _MOST_SIGNS
    names = [fitted(plain(row["dag_id"] or row["experiment"]), most) for row in rows]
    ids = [plain(row["run_id"] or row["id"]) for row in rows]
    wide, widest = max(map(len, names), default=0), max(map(len, ids), default=0)
    for row, name, run_id in zip(rows, names, ids, strict=True):
        begun = moment(row["created"]) if row["created"] else UNKNOWN
        yield (
            f"{begun:<23}  {row['status']:<10}  {name:<{wide}}  {run_id:<{widest}}  "
            f"{_ran_and_reused(row)}"
        )


def _ran_and_reused(row: Mapping[str, Any]) -> str:
    """``1 ran in 3.1 s, 1 of 2 steps reused, 11 s saved``."""
    took = f" in {duration(row['seconds'])}" if row["ran"] else ""
    saved = f", {duration(row['saved_seconds'])} saved" if row["reused"] else ""
    return (
        f"{row['ran']} ran{took}, {row['reused']} of {counted(row['steps'], 'step')} reused{saved}"
    )


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of runs")
    return int(text)


def _nothing_of(wanted: str, home: Home) -> str:
    """That there are no runs of that name, and of which there are."""
    known = heads(home, by_hand=True)
    names = sorted(
        {name for head in known for name in (head.dag_id, head.experiment)} - {UNKNOWN, ""}
    )
    if wanted in _ABOUT_ONE:
        return (
            f"{home.url} has no experiment {wanted!r}. To see one run: airflow-aml runs show RUN."
        )
    near = get_close_matches(wanted, names, n=3)
    there = ", ".join(map(repr, near or names[:_MOST_NAMES]))
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES and not near else ""
    hint = f"Did you mean {there}?" if near else f"There are runs of {there}{more}."
    return f"{home.url} has no run of {wanted!r}. {hint if names else 'It has no run at all.'}"


def _about(head: RunHead) -> dict[str, Any]:
    return {
        "id": head.id,
        "dag_id": head.dag_id,
        "run_id": head.run_id,
        "experiment": head.experiment,
        "created": head.created,
    }


def _row(home: Home, summary: RunSummary) -> dict[str, Any]:
    row = {name: value for name, value in vars(summary).items() if name != "version"}
    return {**row, "status": ended_or_lost(home, summary.id, summary.status)}


def _total(rows: Sequence[dict[str, Any]], price: Price | None) -> dict[str, Any]:
    total: dict[str, Any] = {"runs": len(rows)}
    for name in ("ran", "reused", "seconds", "saved_seconds"):
        total[name] = round(sum(row[name] for row in rows), 3)
    if price is not None:
        total["saved_money"] = price.of(total["saved_seconds"])
        total["currency"] = (price.before + price.after).strip()
    return total


def _total_line(total: dict[str, Any], price: Price | None) -> str:
    if not total["runs"]:
        return "no runs"
    money = f", {price.text(total['saved_seconds'])} at your price" if price else ""
    return (
        f"{counted(total['runs'], 'run')}: {counted(total['ran'], 'step')} ran, "
        f"{total['reused']} reused, {duration(total['saved_seconds'])} saved{money}"
    )
