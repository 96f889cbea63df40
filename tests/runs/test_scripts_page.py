"""The page about scripts: its sample runs as a step."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_aml.workspace.journal import JOURNAL, about, metrics_of, read_notes
from scripts.templates import PROJECT
from tests.runtime.laboratory import Lab


def test_the_sample_of_the_page_runs(tmp_path: Path) -> None:
    """Metrics, tags, a model and a child run, as the page writes them."""
    page = (PROJECT / "docs/scripts.md").read_text(encoding="utf-8")
    sample = re.findall(r"```python\n(.*?)```", page, re.DOTALL)[0]
    lab = Lab(tmp_path)
    job = lab.job(sample, workspace_url=lab.home.url)

    report = lab.run(job)

    assert report.outcome == "finished", lab.lines
    assert lab.lines == [
        "line 1 weights",
        "{'loss': [1.0, 0.5, 0.3333333333333333]} ['a fold']",
    ]
    notes = list(read_notes(Path(job.record, JOURNAL).read_bytes()))
    assert metrics_of(about(notes, "root")) == {"best loss": 1 / 3}
