"""``airflow-aml runs plot``: a run's metrics as curves, and its steps over time."""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any, NamedTuple

from airflow_aml.cli.history import find_run
from airflow_aml.cli.runs import add_run
from airflow_aml.cli.tables import labels
from airflow_aml.definition.runs.overview import RunOverview, overview, step_runs
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.home import default_url, open_home
from airflow_aml.workspace.journal import Note

_COLUMNS = 3
_MOST_CURVES = 30
_COLORS = {"Finished": "#4c78a8", "Reused": "#72b7b2", "Failed": "#e45756", "Running": "#f2cf5b"}
_OTHER = "#bab0ac"
_LARGEST = 1e300
"""Of what is larger, matplotlib cannot tell how far an axis reaches."""

_ROW, _PANEL = 0.32, 2.6
"""Height of a step's bar and of a curve's panel, in inches."""


class Curve(NamedTuple):
    """One metric of one step, over what it was logged over."""

    step: str
    metric: str
    x: list[float]
    y: list[float]


def add_runs_plot(verbs: Any) -> None:
    """Adds ``runs plot RUN``."""
    parser = verbs.add_parser("runs plot", help="draw a run's metrics, and its steps over time")
    add_run(parser)
    parser.add_argument(
        "-o", "--output", metavar="FILE", default="run.png", help="a .png, .svg or .pdf"
    )
    parser.set_defaults(verb=_plot)


def _plot(arguments: argparse.Namespace) -> int:
    home = open_home(default_url(os.environ))
    head = find_run(home, arguments.run, arguments.dag)
    figures = _matplotlib()
    run = overview(home, head)
    steps = step_runs(home, head)
    names = labels((step.name, step.task_id) for step in steps)
    curves = [
        curve
        for name, step in zip(names, steps, strict=True)
        for curve in curves_of(name, step._notes())  # noqa: SLF001 - the journal as it is
    ]
    _draw(figures, run, names, curves, arguments.output)
    if arguments.json:
        shown = [f"{each.step}.{each.metric}" for each in curves]
        print(json.dumps({"file": arguments.output, "steps": len(steps), "curves": shown}))
    else:
        print(f"{arguments.output}: {len(steps)} steps, {len(curves)} curves")
    return 0


def _matplotlib() -> Any:
    try:
        from matplotlib import figure
    except ImportError as error:
        raise UserErrorException(
            "to draw a run takes matplotlib, which is not installed here.",
            hint="pip install 'airflow-provider-aml[plot]'",
        ) from error
    return figure


def curves_of(step: str, notes: Iterable[Note]) -> list[Curve]:
    """The series of numbers among a step's metrics; columns of rows and lists are series, too."""
    series: dict[str, Curve] = {}

    def add(metric: str, value: Any, at: Any = None) -> None:
        number = _number(value)
        if number is not None:
            curve = series.setdefault(metric, Curve(step, metric, [], []))
            across = _number(at)
            curve.x.append(len(curve.x) if across is None else across)
            curve.y.append(number)

    for note in notes:
        metric, value = note.get("metric"), note.get("value")
        if note.get("kind") == "scalar":
            add(str(metric), value, note.get("step"))
        elif note.get("kind") == "list" and isinstance(value, list):
            for each in value:
                add(str(metric), each)
        elif note.get("kind") in ("row", "table") and isinstance(value, Mapping):
            for column, cells in value.items():
                for cell in cells if isinstance(cells, list) else [cells]:
                    add(f"{metric}.{column}", cell)
    return [curve for curve in series.values() if len(curve.x) > 1]


def _number(value: Any) -> float | None:
    """What can be drawn; a NaN or an infinity is a gap, and so is what no float can hold."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if abs(value) <= _LARGEST else math.inf


def _draw(figures: Any, run: RunOverview, names: list[str], curves: list[Curve], path: str) -> None:
    metrics = list(dict.fromkeys(each.metric for each in curves))[:_MOST_CURVES]
    rows = ceil(len(metrics) / _COLUMNS)
    bars = max(1.2, _ROW * len(names) + 0.9)
    drawn = figures.Figure(figsize=(12, bars + _PANEL * rows + 0.6), layout="constrained")
    drawn.suptitle(f"{run.experiment}: {run.run_id} ({run.status})")
    grid = drawn.add_gridspec(rows + 1, _COLUMNS, height_ratios=[bars, *[_PANEL] * rows])
    _gantt(drawn.add_subplot(grid[0, :]), run, names)
    for number, metric in enumerate(metrics):
        axes = drawn.add_subplot(grid[1 + number // _COLUMNS, number % _COLUMNS])
        for curve in curves:
            if curve.metric == metric:
                axes.plot(curve.x, curve.y, marker=".", label=curve.step)
        axes.set_title(metric, fontsize=10)
        axes.legend(fontsize=8)
    try:
        drawn.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise UserErrorException(f"{path!r} cannot be written: {error}") from error


def _gantt(axes: Any, run: RunOverview, names: list[str]) -> None:
    begins = [each.begun for each in run.steps if each.begun is not None]
    start = min(begins, default=0.0)
    latest = max((each.ended or each.begun or start for each in run.steps), default=start)
    for row, step in enumerate(run.steps):
        color = _COLORS.get(step.status, _OTHER)
        if step.begun is None:
            axes.text(0, row, f" {step.status.lower()}", va="center", fontsize=8, color=color)
            continue
        length = (step.ended or latest) - step.begun
        axes.barh(row, length, left=step.begun - start, color=color, height=0.7)
        axes.text(step.begun - start + length, row, f" {length:.1f} s", va="center", fontsize=8)
    axes.set_yticks(range(len(names)), labels=names)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, (latest - start or 1.0) * 1.08)
    axes.set_xlabel("seconds since the first step began")
