"""What a notebook shows of runs, pipelines and datasets: plain HTML, without a script or a request.

Nothing here raises: whoever looks at an object in a notebook wants to see it, not an error.
"""

from __future__ import annotations

import html
import sys
from typing import TYPE_CHECKING, Any, Callable, Iterable, List, Mapping, Sequence, Tuple

if TYPE_CHECKING:
    from airflow_aml.definition.abstract import AbstractDataset
    from airflow_aml.definition.experiment import Experiment
    from airflow_aml.definition.pipeline import Pipeline
    from airflow_aml.definition.runs.context import Run

Rows = Iterable[Tuple[str, Any]]

_STYLE = (
    "<style>"
    ".airflow-aml{font-size:13px;line-height:1.45;margin:4px 0;max-width:100%}"
    ".airflow-aml table{border-collapse:collapse;margin:6px 0;font-size:13px;color:inherit}"
    ".airflow-aml th,.airflow-aml td{text-align:start!important;vertical-align:top;padding:4px 12px"
    " 4px 6px;border:0;border-bottom:1px solid rgba(128,128,128,.3);max-width:44em;"
    "white-space:pre-line;overflow-wrap:break-word}"
    ".airflow-aml svg{display:block}"
    ".airflow-aml th{font-weight:600;white-space:nowrap}"
    ".airflow-aml .wide{overflow:auto;max-height:34em}"
    ".airflow-aml .chip{display:inline-block;padding:0 8px;border-radius:9px;color:#fff;"
    "font-size:12px;white-space:nowrap}"
    ".airflow-aml .quiet{opacity:.75}"
    ".airflow-aml .number{white-space:nowrap;font-variant-numeric:tabular-nums}"
    ".airflow-aml .pair{display:inline-block}"
    ".airflow-aml .bar{display:flex;height:6px;max-width:640px;border-radius:3px;overflow:hidden;"
    "margin:6px 0}"
    "</style>"
)


def kernel_shell() -> Any:
    """The IPython shell of the notebook that this program is; None where it is none."""
    ipython = sys.modules.get("IPython")
    found = ipython.get_ipython() if ipython is not None else None
    return found if getattr(found, "kernel", None) is not None else None


def escaped(text: Any) -> str:
    """A text as HTML shows it; what no page can hold is replaced."""
    plain = str(text).encode("utf-8", "replace").decode("utf-8")
    shown = (
        each if each >= " " or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in plain
    )
    return html.escape("".join(shown), quote=True)


def link(address: str, text: str) -> str:
    """A link where there is a page to lead to, else the address itself."""
    if not address.startswith(("http://", "https://")):
        return escaped(address)
    return f'<a href="{escaped(address)}" target="_blank" rel="noopener">{escaped(text)}</a>'


def block(*parts: str) -> str:
    """A whole piece of HTML for a notebook, readable on light and dark pages."""
    return f'<div class="airflow-aml">{_STYLE}{"".join(parts)}</div>'


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are HTML."""
    head = "".join(f"<th>{escaped(title)}</th>" for title in titles)
    body = "".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cell(cell: str) -> str:
    return f'<td dir="auto">{cell}</td>'


def facts(make: Callable[[], Mapping[str, str]]) -> str:
    """One row of facts, as v1 shows its objects; the values are HTML. Never raises."""
    try:
        found = make()
    except Exception as error:  # noqa: BLE001 - a store may be away in any way
        return block(_unreadable(error))
    return block('<div class="wide">', table(list(found), [list(found.values())]), "</div>")


def run_html(run: Run) -> str:
    """A run as v1 shows it."""

    def shown() -> Mapping[str, str]:
        found = {
            "Experiment": escaped(run.experiment.name),
            "Id": escaped(run.id),
            "Type": escaped(run.type),
            "Status": escaped(_said(run.get_status)),
        }
        page = _said(getattr(run, "get_portal_url", str))
        title = "Details page" if page.startswith("http") else "Record"
        return {**found, title: link(page, "the run in Airflow")} if page else found

    return facts(shown)


def experiment_html(experiment: Experiment) -> str:
    """An experiment as v1 shows it."""
    workspace = getattr(experiment.workspace, "name", experiment.workspace)
    return facts(lambda: {"Name": escaped(experiment.name), "Workspace": escaped(workspace)})


def pipeline_html(pipeline: Pipeline) -> str:
    """A pipeline as its graph and a table of its steps."""
    from airflow_aml.definition.render import step_rows
    from airflow_aml.definition.runs.rundetails_graph import Box, svg

    try:
        spec = pipeline.spec
        names, *rows = step_rows(spec)
        boxes = {node.id: Box(node.name, node.upstream) for node in spec.nodes}
        parts = [table(names, [[escaped(cell) for cell in row] for row in rows])]
        if spec.parameters:
            defaults = [
                [escaped(each.name), escaped(repr(each.default))] for each in spec.parameters
            ]
            parts.append(table(["parameter", "default"], defaults))
        return block('<div class="wide">', svg(boxes), "</div><div class='wide'>", *parts, "</div>")
    except Exception as error:  # noqa: BLE001 - such as steps that wait for each other in a circle
        return block(_unreadable(error))


def dataset_html(dataset: AbstractDataset) -> str:
    """A dataset's meaning; its data is not read."""

    def shown() -> Mapping[str, str]:
        source: Any = dataset._definition or dataset.source  # noqa: SLF001 - without a registry
        found = {
            "Type": type(dataset).__name__,
            "Name": escaped(dataset.name or ""),
            "Version": escaped(dataset.version or ""),
            "Description": escaped(dataset.description or ""),
            "Definition": escaped(", ".join(_meaning(source))),
            "Paths": "<br>".join(escaped(path) for path in _paths(source)),
        }
        return {title: value for title, value in found.items() if value}

    return facts(shown)


def _meaning(source: Any) -> List[str]:
    """What is done to get the data, in order."""
    reading = getattr(source, "reading", None)
    begun = (
        f"{reading.format} files" if reading else {"files": "files"}.get(source.kind, source.kind)
    )
    done = [
        f"{each.name}({', '.join(f'{key}={value!r}' for key, value in each.arguments.items())})"
        for each in source.operations
    ]
    return [
        f"query of {source.datastore}: {source.query}" if source.kind == "query" else begun,
        *done,
    ]


def _paths(source: Any) -> List[str]:
    most = 20
    paths = getattr(source, "paths", ())
    shown = [
        f"{getattr(path, 'datastore', '')}/{path.path}".lstrip("/")
        if getattr(path, "datastore", "")
        else path.path
        for path in paths[:most]
    ]
    return shown + ([f"and {len(paths) - most} more"] if len(paths) > most else [])


def _said(ask: Callable[[], Any]) -> str:
    try:
        return str(ask())
    except Exception:  # noqa: BLE001 - the store or Airflow is away
        return "unknown"


def _unreadable(error: Exception) -> str:
    return f"<span>This cannot be shown: {escaped(str(error) or type(error).__name__)}</span>"
