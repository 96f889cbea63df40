"""A pipeline as a picture in text: Mermaid and DOT."""

from __future__ import annotations

from typing import Iterator, List, Tuple

from airflow_aml.definition.spec import NodeSpec, PipelineSpec, StepOutput


def mermaid(spec: PipelineSpec) -> str:
    """A Mermaid flow chart; data edges carry the output's name, control edges are dotted."""
    names = [f'  n{i}["{_mermaid_text(node.name)}"]' for i, node in enumerate(spec.nodes)]
    lines = ["graph TD", *names]
    numbers = {node.id: number for number, node in enumerate(spec.nodes)}
    for node in spec.nodes:
        for before, label in _edges(node):
            arrow = f"-->|{_mermaid_text(label)}|" if label else "-.->"
            lines.append(f"  n{numbers[before]} {arrow} n{numbers[node.id]}")
        for name in _external_inputs(node):
            number = numbers[node.id]
            lines.append(f'  n{number}_{name}[/"{_mermaid_text(name)}"/] --> n{number}')
    return "\n".join(lines) + "\n"


def dot(spec: PipelineSpec) -> str:
    """A Graphviz digraph of the same."""
    names = [f"  {_quoted(node.id)} [label={_quoted(node.name)}];" for node in spec.nodes]
    lines = ["digraph pipeline {", "  node [shape=box];", *names]
    for node in spec.nodes:
        for before, label in _edges(node):
            style = f"label={_quoted(label)}" if label else "style=dashed"
            lines.append(f"  {_quoted(before)} -> {_quoted(node.id)} [{style}];")
        for name in _external_inputs(node):
            source = _quoted(f"{node.id}.{name}")
            lines.append(f"  {source} [label={_quoted(name)}, shape=parallelogram];")
            lines.append(f"  {source} -> {_quoted(node.id)};")
    return "\n".join([*lines, "}"]) + "\n"


def table(spec: PipelineSpec) -> str:
    """A Markdown table: each step with its script, what it reads from whom, what it writes."""
    titles, *rows = step_rows(spec)
    lines = ["| " + " | ".join(titles) + " |", "|---" * len(titles) + "|"]
    plain = ([cell.replace("|", "\\|") for cell in cells] for cells in rows)
    return "\n".join([*lines, *(f"| {' | '.join(cells)} |" for cells in plain)])


def step_rows(spec: PipelineSpec) -> List[List[str]]:
    """The titles of that table's columns, and its rows."""
    names = {node.id: node.name for node in spec.nodes}
    rows = [["step", "script", "reads", "after", "writes"]]
    for node in spec.nodes:
        reads = [
            f"{port.source.output} of {names[port.source.node]}"
            if isinstance(port.source, StepOutput)
            else port.name
            for port in node.inputs
        ]
        cells = [
            node.name,
            node.script_name,
            ", ".join(reads),
            ", ".join(names[before] for before in node.after),
            ", ".join(port.name for port in node.outputs),
        ]
        rows.append(cells)
    return rows


def _edges(node: NodeSpec) -> Iterator[Tuple[str, str]]:
    producers = set()
    for port in node.inputs:
        if isinstance(port.source, StepOutput):
            producers.add(port.source.node)
            yield port.source.node, port.source.output
    for before in node.after:
        if before not in producers:
            yield before, ""


def _external_inputs(node: NodeSpec) -> Iterator[str]:
    for port in node.inputs:
        if not isinstance(port.source, StepOutput):
            yield port.name


def _mermaid_text(text: str) -> str:
    return (
        text.replace("&", "&amp;").replace('"', "&quot;").replace("|", "&#124;").replace("\n", " ")
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'
