"""What a benchmark answers, and where docs/performance.md shows it."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


@dataclass(frozen=True)
class Claim:
    """What the project promises, and what was measured."""

    what: str
    limit: float
    measured: float
    unit: str = ""

    @property
    def met(self) -> bool:
        """Whether the figure, rounded as it is shown, stays within the limit."""
        return float(_figure(self.measured)) <= self.limit

    def __str__(self) -> str:
        verdict = "met" if self.met else "**missed**"
        return (
            f"- {self.what}: {_figure(self.measured)}{self.unit}, "
            f"claim at most {_figure(self.limit)}{self.unit}: {verdict}"
        )


@dataclass(frozen=True)
class Report:
    """A table with the claims that it bears out, or does not."""

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    claims: Sequence[Claim]

    def markdown(self) -> str:
        """The table, the claims, and where and when it was measured."""
        lines = [
            machine(),
            "",
            _row(self.header),
            _row(["---"] * len(self.header)),
            *map(_row, self.rows),
            "",
            *map(str, self.claims),
        ]
        return "\n".join(lines)


def machine() -> str:
    """One line: what and when."""
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d}: {_processor()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, Airflow {version('apache-airflow-core')}."
    )


def write(name: str, report: Report, page: Path = PAGE) -> None:
    """Puts a report between its markers in the page."""
    text = page.read_text(encoding="utf-8")
    begin, end = f"<!-- results: {name} -->", f"<!-- end: {name} -->"
    before, opened, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise ValueError(f"{page} has no markers for the results of {name!r}")
    page.write_text(f"{before}{begin}\n{report.markdown()}\n{end}{after}", encoding="utf-8")


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.3g}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
