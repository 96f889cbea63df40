"""A run as :class:`~airflow_aml.definition.runs.rundetails.RunDetails` shows it: HTML, and text."""

from __future__ import annotations

from typing import Any, Dict, Iterator, List, Mapping, Tuple

from airflow_aml.definition.runs.notebook import block, escaped, link, table
from airflow_aml.definition.runs.progress import REUSED, StepProgress, counts
from airflow_aml.definition.runs.rundetails_graph import MOST, Box, svg
from airflow_aml.definition.runs.rundetails_view import RunView, StepView

# White letters are readable on each, and each is on a white page and on a black one.
_DONE = ("#1a7f37", "\N{CHECK MARK}")
_OVER = ("#9a6700", "\N{MULTIPLICATION X}")
_TO_COME = ("#6e7781", "\N{MIDDLE DOT}")
_LOOKS: Dict[str, Tuple[str, str]] = {
    "Finished": _DONE,
    "Completed": _DONE,
    REUSED: ("#0b7285", "\N{ANTICLOCKWISE OPEN CIRCLE ARROW}"),
    "Running": ("#1f6feb", "\N{BLACK RIGHT-POINTING TRIANGLE}"),
    "Failed": ("#cf222e", "\N{MULTIPLICATION X}"),
    "Canceled": _OVER,
    "Bypassed": _OVER,
}
_METRICS, _LETTERS = 6, 400


def html_of(view: RunView) -> str:
    """The run as HTML: what it is, how far it is, its steps, its graph."""
    parts = [_head(view)]
    named = (("Parameters", view.parameters), ("Metrics", _shown(view.metrics)))
    parts += [
        f"<div>{title}: {', '.join(_pair(*pair) for pair in values.items())}</div>"
        for title, values in named
        if values
    ]
    if view.trouble:
        parts.append(f"<div><b>It cannot be looked at just now:</b> {_short(view.trouble)}</div>")
    if view.steps:
        if view.kind != "Run":  # a script or child runs are no steps to be counted
            parts += [f"<div>{escaped(counts(view.progress))}</div>", _bar(view), _graph(view)]
        parts += ['<div class="wide">', _table(view), "</div>"]
    elif view.kind != "Run" and not view.trouble:
        parts.append('<div class="quiet">No step of it is known yet.</div>')
    return block(*parts)


def text_of(view: RunView) -> str:
    """The same as text."""
    lines = [f"{view.kind}Id: {view.id}", f"Experiment: {view.experiment}"]
    if view.page:
        where = "Link to Airflow" if view.page.startswith("http") else "Record"
        lines.append(f"{where}: {view.page}")
    for title, values in (("Parameters", view.parameters), ("Metrics", _shown(view.metrics))):
        if values:
            lines.append(f"{title}: {_pairs(values)}")
    lines.append(f"{view.kind} Status: {view.status}")
    if view.trouble:
        lines.append(f"It cannot be looked at just now: {view.trouble}")
    if view.steps:
        width = min(max(len(step.progress.name) for step in view.steps), 40)
        lines += [_line(step, width) for step in view.steps]
        lines += [counts(view.progress)] if view.kind != "Run" else []
    return "\n".join(_printable(line) for line in lines) + "\n"


def _head(view: RunView) -> str:
    parts = [
        _chip(view.status),
        f"<b>{escaped(view.kind)}</b> {escaped(view.id)}",
        f"experiment <b>{escaped(view.experiment)}</b>",
    ]
    if view.page.startswith("http"):
        parts.append(link(view.page, "open in Airflow"))
    return f"<div>{' &nbsp; '.join(parts)}</div>"


def _chip(status: str) -> str:
    color, sign = _LOOKS.get(status, _TO_COME)
    return f'<span class="chip" style="background:{color}">{sign} {escaped(status)}</span>'


def _bar(view: RunView) -> str:
    """How much of the run is done, by colour."""
    shares: Dict[str, int] = {}
    for step in view.progress:
        color = _LOOKS.get(step.status, _TO_COME)[0]
        shares[color] = shares.get(color, 0) + 1
    ranked = [color for color in dict(_LOOKS.values()) if color in shares]
    ordered = [*ranked, *([_TO_COME[0]] if _TO_COME[0] in shares else [])]
    drawn = (f'<div style="flex:{shares[color]};background:{color}"></div>' for color in ordered)
    return f'<div class="bar">{"".join(drawn)}</div>'


def _graph(view: RunView) -> str:
    if len(view.steps) > MOST:
        return (
            f'<div class="quiet">A graph is drawn of {MOST} steps at most; '
            f"this run has {len(view.steps)}.</div>"
        )
    if len(view.steps) == 1 or not any(step.upstream for step in view.steps):  # none is known
        return ""
    boxes = {
        step.progress.task_id: Box(
            step.progress.name,
            step.upstream,
            _LOOKS.get(step.progress.status, _TO_COME)[0],
            f"{step.progress.status}. {step.progress.reason[:_LETTERS]}",
        )
        for step in view.steps
    }
    return f'<div class="wide">{svg(boxes)}</div>'


def _table(view: RunView) -> str:
    rows = [_row(step) for step in view.steps]
    titles = ["Step", "Status", "Time", "Why", "Metrics"]
    # Columns with nothing in them only take room.
    kept = [place for place in range(len(titles)) if place < 2 or any(row[place] for row in rows)]
    return table(
        [titles[place] for place in kept], [[row[place] for place in kept] for row in rows]
    )


def _row(step: StepView) -> List[str]:
    progress = step.progress
    metrics = ", ".join(_pair(*pair) for pair in _shown(step.metrics).items())
    time = f'<span class="number">{escaped(_time(progress))}</span>' if _time(progress) else ""
    return [
        escaped(progress.name),
        _chip(progress.status),
        time,
        _reason(progress.reason),
        metrics,
    ]


def _time(step: StepProgress) -> str:
    if step.status == REUSED:
        return f"{step.saved_seconds:.1f} s saved"
    return f"{step.seconds:.1f} s" if step.seconds else ""


def _line(step: StepView, width: int) -> str:
    progress = step.progress
    first = _printable(progress.reason.partition("\n")[0][:_LETTERS])
    told = f"  {progress.name[:40]:<{width}}  {progress.status:<10} {_time(progress):>12}  {first}"
    metrics = _pairs(_shown(step.metrics))
    return f"{told.rstrip()}{metrics and f'  [{metrics}]'}"


def _shown(metrics: Mapping[str, Any]) -> Dict[str, str]:
    """The first few metrics: of one that was logged several times, the last value."""
    shown = {name: _value(value) for name, value in list(metrics.items())[:_METRICS]}
    if len(metrics) > _METRICS:
        shown[f"{len(metrics) - _METRICS} more"] = ""
    return shown


def _value(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return f"{_value(value[-1])} (last of {len(value)})" if value else "nothing"
    if isinstance(value, dict):
        return f"table of {', '.join(map(str, value))}"
    return str(value)


def _pair(name: str, value: Any) -> str:
    shown = f" = <b>{_short(str(value), 80)}</b>" if value != "" else ""
    return f'<span class="pair">{_short(name, 60)}{shown}</span>'


def _pairs(values: Mapping[str, Any]) -> str:
    pairs = ((name[:60], str(value)[:80]) for name, value in values.items())
    return ", ".join(f"{name}={value}" if value else name for name, value in pairs)


def _short(text: str, most: int = _LETTERS) -> str:
    return escaped(text if len(text) <= most else text[:most] + "\N{HORIZONTAL ELLIPSIS}")


def _reason(text: str) -> str:
    """Of a long reason, begin and end: an error's last line says most."""
    if len(text) > _LETTERS:
        text = f"{text[: _LETTERS // 4]}\N{HORIZONTAL ELLIPSIS}{text[-_LETTERS * 3 // 4 :]}"
    return escaped(text)


def _printable(line: str) -> str:
    """A line that stays one, and does to a terminal nothing but be read."""
    return "".join(_signs(line)).encode("utf-8", "replace").decode("utf-8")


def _signs(line: str) -> Iterator[str]:
    for sign in line:
        yield sign if sign.isprintable() else " " if sign.isspace() else "?"
