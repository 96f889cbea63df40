"""``airflow-aml runs show`` and ``runs compare``: one run in full, and two side by side."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from airflow_aml.cli.history import called, find_run
from airflow_aml.cli.tables import fitted, json_text, labels, moment, plain, room
from airflow_aml.definition.runs.overview import RunOverview, StepOverview, overview
from airflow_aml.errors import UserErrorException
from airflow_aml.reuse.lookup import duration
from airflow_aml.workspace.home import default_url, open_home

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.runs import RunHead

_MARK = "*"
_MOST_FILES = 8


def add_runs_show(verbs: Any) -> None:
    """Adds ``runs show RUN [STEP]``."""
    parser = verbs.add_parser("runs show", help="all that is known of a run, or of a step of it")
    add_run(parser)
    parser.add_argument("step", metavar="STEP", nargs="?", help="one step alone")
    parser.add_argument(
        "--snapshot", metavar="DIR", help="write the step's source folder, as it was, to DIR"
    )
    parser.set_defaults(verb=_show)


def add_runs_compare(verbs: Any) -> None:
    """Adds ``runs compare A B``."""
    parser = verbs.add_parser("runs compare", help="two runs side by side, differences marked")
    add_run(parser, "a")
    add_run(parser, "b")
    parser.set_defaults(verb=_compare)


def add_run(parser: argparse.ArgumentParser, name: str = "run") -> None:
    """Adds the argument that says which run is meant, and what goes with it."""
    known = "a run's id, Airflow's id of it, or 'latest'"
    parser.add_argument(name, metavar=name.upper(), help=known)
    if name != "b":
        parser.add_argument("--dag", metavar="DAG", help="the DAG whose run is meant")
        parser.add_argument("--json", action="store_true", help="one JSON object")


def _show(arguments: argparse.Namespace) -> int:
    home = open_home(default_url(os.environ))
    head = find_run(home, arguments.run, arguments.dag)
    if arguments.snapshot is not None:
        return _restore(home, head, arguments)
    found = overview(home, head)
    steps = _chosen(found.steps, arguments.step)
    if arguments.json:
        shown = asdict(found) if arguments.step is None else [asdict(each) for each in steps]
        print(json_text({"steps": shown} if arguments.step else shown))
        return 0
    lines = _step_lines(steps) if arguments.step else [*_run_lines(found), *_steps_table(found)]
    print("\n".join(lines))
    return 0


def _restore(home: Home, head: RunHead, arguments: argparse.Namespace) -> int:
    from airflow_aml.definition.runs.overview import step_runs
    from airflow_aml.definition.runs.snapshot import unpack_snapshot

    steps = _chosen(step_runs(home, head), arguments.step)
    found = {step.get_snapshot_id() for step in steps}
    if len(found) != 1:
        names = ", ".join(dict.fromkeys(str(step.name) for step in steps))
        raise UserErrorException(
            f"the steps of this run have {len(found)} source folders.",
            hint=f"Say of which step: {names}.",
        )
    (snapshot,) = found
    unpack_snapshot(home, snapshot, arguments.snapshot)
    if arguments.json:
        print(json.dumps({"snapshot": snapshot, "folder": arguments.snapshot}))
    else:
        print(f"{snapshot} is in {arguments.snapshot}")
    return 0


def _chosen(steps: list[Any], wanted: str | None) -> list[Any]:
    chosen = [each for each in steps if wanted in (None, each.name, each.task_id, each.id)]
    if not chosen and wanted is not None:
        there = ", ".join(each.name for each in steps)
        raise UserErrorException(f"the run has no step {wanted!r}; it has {there}.")
    return chosen


def _run_lines(run: RunOverview) -> Iterator[str]:
    yield f"run {called(run)}"
    begun = moment(run.created) if run.created else None
    yield from _block("", {"experiment": run.experiment, "status": run.status, "begun": begun})
    yield from _block("parameters", run.parameters)
    yield from _block("tags", run.tags)
    yield from _block("metrics", run.metrics)
    yield from _names("files", run.files)


def _steps_table(run: RunOverview) -> Iterator[str]:
    yield "steps"
    wide = room()
    names = _fitted_names(labels((each.name, each.task_id) for each in run.steps), wide, 3)
    width = max(map(len, names), default=0)
    for name, step in zip(names, run.steps, strict=True):
        reason = plain((step.reason.splitlines() or [""])[0])
        line = f"  {step.status:<10}  {name:<{width}}  {_spent(step):>12}  {reason}"
        yield fitted(line.rstrip(), wide)
        for output, uri in step.outputs.items():
            yield f"    output  {output}  {plain(uri)}"
        for metric, value in step.metrics.items():
            (shown,) = _fitted_names([metric], wide, 2)
            yield fitted(f"    metric  {shown}  {short(value)}".rstrip(), wide)
        if step.files:
            yield f"    files   {len(step.files)}"


def _fitted_names(names: Iterable[str], wide: int | None, parts: int) -> list[str]:
    """Names that each fill so many parts of a line at most."""
    return [fitted(plain(name), wide and wide // parts) for name in names]


def _step_lines(steps: Iterable[StepOverview]) -> Iterator[str]:
    for step in steps:
        ended = ", ".join(filter(None, [step.status, _spent(step)]))
        yield f"step {plain(step.name)} ({step.id}): {ended}"
        for line in step.reason.splitlines():
            yield f"  {plain(line)}"
        yield from _block("outputs", step.outputs)
        yield from _block("metrics", step.metrics)
        yield from _block("tags", step.tags)
        yield from _block("properties", step.properties)
        yield from _names("files", step.files, most=len(step.files))


def _block(title: str, values: Mapping[str, Any]) -> Iterator[str]:
    if not values:
        return
    if title:
        yield title
    indent, wide = "  " if title else "", room()
    names = _fitted_names(values, wide, 2)
    width = max(map(len, names))
    for name, value in zip(names, values.values(), strict=True):
        yield fitted(f"{indent}{name:<{width}}  {short(value)}".rstrip(), wide)


def _names(title: str, names: list[str], most: int = _MOST_FILES) -> Iterator[str]:
    if names:
        yield title
    yield from (f"  {plain(name)}" for name in names[:most])
    if len(names) > most:
        yield f"  and {len(names) - most} more"


def _spent(step: StepOverview) -> str:
    if step.status == "Reused":
        return f"saved {duration(step.saved_seconds)}"
    return duration(step.seconds) if step.seconds else ""


def short(value: Any) -> str:
    """A value in a table: of a series its last value and how many there are."""
    if isinstance(value, list) and value and not isinstance(value[-1], (list, dict)):
        return f"{short(value[-1])} (last of {len(value)})"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        return f"table of {', '.join(map(plain, value))}"
    return "" if value is None else plain(value)


def _compare(arguments: argparse.Namespace) -> int:
    home = open_home(default_url(os.environ))
    a, b = (
        overview(home, find_run(home, wanted, arguments.dag))
        for wanted in (arguments.a, arguments.b)
    )
    compared = comparison(a, b)
    if arguments.json:
        print(json_text({"a": _about(a), "b": _about(b), **compared}))
        return 0
    print(f"  a  {called(a)}")
    print(f"  b  {called(b)}")
    for title, rows in compared.items():
        for line in _side_by_side(title, rows):
            print(line)
    return 0


def comparison(a: RunOverview, b: RunOverview) -> dict[str, dict[str, dict[str, Any]]]:
    """Part -> name -> ``{"a", "b", "differs"}``; what one of them has not is None."""
    parts = {
        "run": (_kind(a), _kind(b)),
        "parameters": (a.parameters, b.parameters),
        "tags": (a.tags, b.tags),
        "metrics": (_metrics(a), _metrics(b)),
        "steps": (_by_step(a, "status"), _by_step(b, "status")),
        "reasons": (_by_step(a, "reason"), _by_step(b, "reason")),
        "seconds": (_by_step(a, "seconds"), _by_step(b, "seconds")),
        "sources": (_sources(a), _sources(b)),
    }
    return {
        title: {
            name: {
                "a": ours.get(name),
                "b": theirs.get(name),
                "differs": not _same(ours.get(name), theirs.get(name)),
            }
            for name in {**ours, **theirs}
        }
        for title, (ours, theirs) in parts.items()
    }


def _kind(run: RunOverview) -> dict[str, Any]:
    return {"status": run.status, "experiment": run.experiment}


def _about(run: RunOverview) -> dict[str, Any]:
    names = ("id", "dag_id", "run_id", "experiment", "created")
    return {name: getattr(run, name) for name in names}


def _metrics(run: RunOverview) -> dict[str, Any]:
    """The run's own metrics, and its steps' with the step's name before them."""
    found = dict(run.metrics)
    for name, step in _labelled(run):
        found.update({f"{name}.{metric}": value for metric, value in step.metrics.items()})
    return found


def _by_step(run: RunOverview, attribute: str) -> dict[str, Any]:
    return {name: getattr(step, attribute) for name, step in _labelled(run)}


def _sources(run: RunOverview) -> dict[str, Any]:
    """Snapshot and commit of each step, as far as they are known."""
    known = ("ContentSnapshotId", "azureml.git.commit")
    return {
        f"{name}.{key}": step.properties[key]
        for name, step in _labelled(run)
        for key in known
        if key in step.properties
    }


def _labelled(run: RunOverview) -> Iterator[tuple[str, StepOverview]]:
    names = labels((each.name, each.task_id) for each in run.steps)
    return zip(names, run.steps, strict=True)


def _same(ours: Any, theirs: Any) -> bool:
    return bool(ours == theirs) or repr(ours) == repr(theirs)  # a NaN is like another


def _side_by_side(title: str, rows: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    if not rows:
        return
    yield title
    wide = room()
    names = _fitted_names(rows, wide, 3)
    width = max(map(len, names))
    side = wide and max((wide - width - 6) // 2, 1)  # what stands between them takes the 6
    tell = _cell_of_seconds if title == "seconds" else _cell
    cells = [(fitted(tell(row["a"]), side), fitted(tell(row["b"]), side)) for row in rows.values()]
    middle = max(len(a) for a, _ in cells)
    for name, row, (a, b) in zip(names, rows.values(), cells, strict=True):
        mark = _MARK if row["differs"] else " "
        yield f"{mark} {name:<{width}}  {a:<{middle}}  {b}".rstrip()


def _cell(value: Any) -> str:
    return "-" if value is None else short(value)


def _cell_of_seconds(value: Any) -> str:
    return "-" if value is None else duration(value)
