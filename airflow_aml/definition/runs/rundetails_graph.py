"""A graph of steps as a picture: plain SVG, drawn from left to right."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Dict, List, Mapping, Sequence, Tuple

from airflow_aml.definition.runs.notebook import escaped

MOST = 60
"""More boxes than these are no picture that anybody can read."""

_WIDTH, _HEIGHT, _APART, _BETWEEN, _EDGE = 168, 34, 52, 14, 12
_LINE = "#8c959f"
_FONT = "12px system-ui,-apple-system,'Segoe UI',sans-serif"
_ROOM = 21
"""So many narrow letters fit into a box."""


@dataclass(frozen=True)
class Box:
    """A step in the picture; ``about`` is told when the pointer rests on it."""

    name: str
    upstream: Sequence[str] = ()
    color: str = "#57606a"
    about: str = ""


def svg(boxes: Mapping[str, Box]) -> str:
    """The picture of steps by id; empty where there is nothing to see, or too much."""
    if not 0 < len(boxes) <= MOST:
        return ""
    upstream = {key: [each for each in box.upstream if each in boxes] for key, box in boxes.items()}
    layers = _layers(upstream)
    rows = max(len(layer) for layer in layers)
    places = {
        key: _place(column, row, rows - len(layer))
        for column, layer in enumerate(layers)
        for row, key in enumerate(layer)
    }
    depth = {key: column for column, layer in enumerate(layers) for key in layer}
    edges = [
        _edge(places[before], places[key], depth[key] - depth[before])
        for key, befores in upstream.items()
        for before in befores
    ]
    width = 2 * _EDGE + len(layers) * (_WIDTH + _APART) - _APART
    height = 2 * _EDGE + rows * (_HEIGHT + _BETWEEN)
    drawn = [_box(box, *places[key]) for key, box in boxes.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="graph of the steps" '
        f'width="{width}" height="{height}" viewBox="0 0 {width} {height}">'
        f"{''.join(edges)}{''.join(drawn)}</svg>"
    )


def _layers(upstream: Mapping[str, Sequence[str]]) -> List[List[str]]:
    """Each step to the right of all that it waits for, and near them."""
    depth = dict.fromkeys(upstream, 0)
    for _ in upstream:  # in running order once is enough
        before = dict(depth)
        for key, befores in upstream.items():
            depth[key] = min(max((depth[each] + 1 for each in befores), default=0), len(depth) - 1)
        if depth == before:
            break
    layers: List[List[str]] = [[] for _ in range(max(depth.values()) + 1)]
    for key, column in depth.items():
        layers[column].append(key)
    layers = [layer for layer in layers if layer]
    height: Dict[str, float] = {}
    for layer in layers:
        wanted = {
            key: _middle([height[each] for each in upstream[key] if each in height])
            for key in layer
        }
        layer.sort(key=wanted.__getitem__)
        height.update({key: row - len(layer) / 2 for row, key in enumerate(layer)})
    return layers


def _middle(heights: Sequence[float]) -> float:
    return sum(heights) / len(heights) if heights else 0.0


def _place(column: int, row: int, missing: int) -> Tuple[float, float]:
    """The left upper corner of a box; a column that is not full stands in the middle."""
    across = _EDGE + column * (_WIDTH + _APART)
    return across, _EDGE + _BETWEEN + (row + missing / 2) * (_HEIGHT + _BETWEEN)


def _edge(start: Tuple[float, float], end: Tuple[float, float], columns: int) -> str:
    x1, y1 = start[0] + _WIDTH, start[1] + _HEIGHT / 2
    x2, y2 = end[0] - 1, end[1] + _HEIGHT / 2
    # Past the boxes between, not behind them.
    lift = (_HEIGHT / 2 + _BETWEEN) * 4 / 3 if columns > 1 and y1 == y2 else 0
    bend = _APART * (0.6 if lift else columns / 2)
    curve = f"M{x1:g},{y1:g} C{x1 + bend:g},{y1 - lift:g} {x2 - bend:g},{y2 - lift:g} {x2:g},{y2:g}"
    return (
        f'<path d="{curve}" fill="none" stroke="{_LINE}" stroke-width="1.5"/>'
        f'<path d="M{x2 - 7:g},{y2 - 4:g} L{x2:g},{y2:g} L{x2 - 7:g},{y2 + 4:g} z" fill="{_LINE}"/>'
    )


def _box(box: Box, across: float, down: float) -> str:
    about = f"{box.name}: {box.about}" if box.about else box.name
    return (
        f"<g><title>{escaped(about)}</title>"
        f'<rect x="{across:g}" y="{down:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
        f'fill="{box.color}"/>'
        f'<text x="{across + _WIDTH / 2:g}" y="{down + _HEIGHT / 2:g}" dominant-baseline="central" '
        f'text-anchor="middle" fill="#ffffff" style="font:{_FONT}">{escaped(_fitting(box.name))}'
        "</text></g>"
    )


def _fitting(name: str) -> str:
    """As much of a name as a box has room for: some scripts' letters are twice as wide."""
    room = _ROOM
    for place, letter in enumerate(name):
        room -= 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if room < 0:
            return name[: max(place - 1, 1)] + "\N{HORIZONTAL ELLIPSIS}"
    return name
