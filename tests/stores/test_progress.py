"""What a task's log says of a long transfer."""

from __future__ import annotations

import pytest

from airflow_aml.workspace.stores.progress import Report, amount


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_long_transfer_says_a_line_now_and_then() -> None:
    """Files, bytes and rate are told every ten seconds and at the end."""
    clock, said = Clock(), []
    report = Report("uploading data", said.append, files=1000, size=100_000_000, clock=clock)
    for _ in range(5):
        clock.now += 4
        report(100, 10_000_000)
    report.end()
    assert said == [
        "uploading data: 300 of 1,000 files, 30.0 MB of 100 MB, 2.5 MB/s",
        "uploading data: 500 of 1,000 files, 50.0 MB of 100 MB, 2.5 MB/s",
    ]


def test_short_transfer_says_nothing() -> None:
    """A transfer that ends before a line is due leaves the log alone."""
    clock, said = Clock(), []
    report = Report("uploading data", said.append, clock=clock)
    clock.now += 9
    report(1, 5)
    report.end()
    assert said == []
    assert (report.files, report.bytes) == (1, 5)


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KB"), (999_999, "1.0 MB"), (123_456, "123 KB"),
     (1.5e9, "1.5 GB"), (1e16, "10000 TB")],
)  # fmt: skip
def test_amounts_are_short(count: float, text: str) -> None:
    """Bytes are told in the unit that people would use."""
    assert amount(count) == text
