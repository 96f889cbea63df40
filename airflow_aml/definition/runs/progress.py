"""How a run's steps get on, shown to whoever waits: a live table in a terminal, else lines."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Dict, List, Sequence, TextIO, Union

if TYPE_CHECKING:
    from airflow_aml.workspace.runs import StepResult

REUSED = "Reused"
_OPEN = ("NotStarted", "Queued", "Running")
_COLORS = {"Running": "36", "Finished": "32", REUSED: "32", "Failed": "31", "Canceled": "33"}
_UP_AND_CLEAR = "\x1b[{}A\x1b[J"


@dataclass(frozen=True)
class StepProgress:
    """One step, as it is now.

    Attributes:
        status: v1's word for a step's run, or ``Reused``.
        seconds: that it has taken so far.
        saved_seconds: that a reused step did not take.
    """

    name: str
    status: str
    seconds: float = 0.0
    reason: str = ""
    saved_seconds: float = 0.0
    task_id: str = ""

    @staticmethod
    def of_result(result: StepResult) -> StepProgress:
        """What the workspace knows of it."""
        return StepProgress(
            result.name,
            result.status,
            result.seconds,
            result.reason,
            result.saved_seconds,
            result.task_id,
        )


class Lines:
    """A line for each change, for logs, notebooks and pipes."""

    def __init__(self, out: TextIO, kind: str):
        self._out = out
        self._kind = kind
        self._status = ""
        self._steps: Dict[int, str] = {}

    def show(self, status: str, steps: Sequence[StepProgress]) -> None:
        """Tells what is new; that the run has ended, last."""
        ended = all(step.status not in _OPEN for step in steps)
        if not ended:
            self._show_run(status)
        for place, step in enumerate(steps):
            if self._steps.get(place, "NotStarted") != step.status:
                self._out.write(f"StepRun( {step.name} ) Status: {_told(step)}\n")
            self._steps[place] = step.status
        self._show_run(status)
        self._out.flush()

    def _show_run(self, status: str) -> None:
        if status != self._status:
            self._out.write(f"{self._kind} Status: {status}\n")
            self._status = status


class Table:
    """All steps at a glance, drawn over what was drawn before."""

    def __init__(self, out: TextIO, kind: str):
        self._out = out
        self._kind = kind
        self._drawn = 0

    def show(self, status: str, steps: Sequence[StepProgress]) -> None:
        """Draws it again."""
        import shutil

        size = shutil.get_terminal_size()
        lines = [f"{self._kind} Status: {status}", *_rows(steps, size.columns, size.lines - 3)]
        if self._drawn:
            self._out.write(_UP_AND_CLEAR.format(self._drawn))
        self._out.write("\n".join(lines) + "\n")
        self._out.flush()
        self._drawn = len(lines)


def display(out: TextIO, kind: str) -> Union[Lines, Table]:
    """What suits the place that the output goes to."""
    return Table(out, kind) if is_terminal(out) else Lines(out, kind)


def is_terminal(out: TextIO) -> bool:
    """Whether what was written there can be drawn over."""
    return out.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def summary(kind: str, status: str, steps: Sequence[StepProgress]) -> str:
    """How it all went, and what reuse has saved."""
    title = f"{kind} Execution Summary"
    lines = ["", title, "=" * len(title), f"{kind} Status: {status}", counts(steps)]
    lines += why_failed(steps)
    return "\n".join(lines) + "\n"


def counts(steps: Sequence[StepProgress]) -> str:
    """How many steps ran, how many were reused and what that saved, and what became of others."""
    ran = [each for each in steps if each.status == "Finished"]
    reused = [each for each in steps if each.status == REUSED]
    other = [each for each in steps if each.status not in ("Finished", REUSED)]
    parts = [f"{len(ran)} ran in {sum(each.seconds for each in ran):.1f} s"]
    if reused:
        saved = sum(each.saved_seconds for each in reused)
        parts.append(f"{len(reused)} reused, {saved:.1f} s saved")
    words = list(dict.fromkeys(each.status for each in other))
    parts += [f"{sum(each.status == word for each in other)} {_words(word)}" for word in words]
    return f"{len(steps)} step{'' if len(steps) == 1 else 's'}: {', '.join(parts)}"


def why_failed(steps: Sequence[StepProgress]) -> List[str]:
    """For each step that failed, which one it was, and why."""
    named = [(f"step {each.name!r}", each.reason) for each in steps if each.status == "Failed"]
    return [why if why.startswith(name) else f"{name}: {why}" for name, why in named]


def _told(step: StepProgress) -> str:
    word = "Finished (reused)" if step.status == REUSED else step.status
    took = f" after {step.seconds:.1f} s" if step.status in ("Finished", "Failed") else ""
    because = "" if step.status in _OPEN else step.reason.partition("\n")[0]
    return f"{word}{took}{because and ': '}{because}"


def _rows(steps: Sequence[StepProgress], columns: int, most: int) -> List[str]:
    """A row for each step; of more than there is room for, those that matter most just now."""
    shown = list(steps)
    if len(shown) > most > 0:
        rank = {"Running": 0, "Failed": 0, "Queued": 1, "NotStarted": 2}
        places = sorted(range(len(shown)), key=lambda place: rank.get(shown[place].status, 3))
        shown = [shown[place] for place in sorted(places[: most - 1])]
    width = min(max((len(each.name) for each in shown), default=0), 40)
    rows = []
    for each in shown:
        seconds = f"{each.seconds:8.1f} s" if each.seconds else " " * 10
        first = each.reason.partition("\n")[0] if each.status not in _OPEN else ""
        row = f"  {each.name[:40]:<{width}}  {each.status:<10} {seconds}  {first}"
        # A line that wraps would be two lines to draw over.
        row = row[: max(columns - 1, 20)].rstrip()
        color, at = _COLORS.get(each.status), width + 4
        end = at + len(each.status)
        painted = f"{row[:at]}\x1b[{color}m{row[at:end]}\x1b[0m{row[end:]}"
        rows.append(painted if color else row)
    if len(shown) < len(steps):
        rows.append(f"  ... and {len(steps) - len(shown)} more")
    return rows


def _words(status: str) -> str:
    return {"NotStarted": "not started", "PartiallyExecuted": "partially executed"}.get(
        status, status.lower()
    )
