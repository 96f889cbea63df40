"""The notebook of docs/runs.md, run as it stands by a real kernel that nobody looks at.

The picture of it goes to a folder for temporary files; with UPDATE_SCREENSHOTS=1 to docs/images.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import nbclient
import nbformat
import pytest

from scripts.templates import PROJECT

CHROMIUM = Path("/usr/bin/chromium")

PREPARE = """
import sys, time
time.sleep(1.2)
from airflow_aml import Run
open(sys.argv[1] + "/rows.txt", "w").write("1 2 3")
Run.get_context().log("rows", 3)
"""

TRAIN = """
import sys
from airflow_aml import Run
for epoch in range(1, 4):
    Run.get_context().log("loss", float(sys.argv[3]) / epoch)
open(sys.argv[2] + "/model.txt", "w").write(sys.argv[3])
"""

EVALUATE = """
from airflow_aml import Run
Run.get_context().log("r2", 0.52)
"""

OTHER_RATE = """
run = Experiment(ws, "nightly").submit(pipeline, pipeline_parameters={"rate": 0.5})
RunDetails(run).show()
run.wait_for_completion(show_output=False)
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory):
    """The outputs of each cell: of the page's, and of one that changes a parameter."""
    page = (PROJECT / "docs/runs.md").read_text(encoding="utf-8")
    section = page.partition("## In a notebook\n")[2].partition("\n## ")[0]
    cells = [*re.findall(r"```python\n(.*?)```", section, re.DOTALL), OTHER_RATE, "run"]
    folder = tmp_path_factory.mktemp("notebook")
    for name, text in (("prepare", PREPARE), ("train", TRAIN), ("evaluate", EVALUATE)):
        (folder / name).mkdir()
        (folder / name / f"{name}.py").write_text(text)
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(each) for each in cells])
    patch = pytest.MonkeyPatch()
    patch.setenv("AIRFLOW__AML__WORKSPACE", str(folder / "aml"))
    place = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(book, timeout=240, kernel_name="python3", resources=place).execute()
    patch.undo()
    return [cell.outputs for cell in book.cells]


def html(outputs) -> str:
    """The HTML of the only output of a cell that has some."""
    (found,) = [each.data["text/html"] for each in outputs if "text/html" in each.get("data", {})]
    return found


def test_the_run_is_followed_to_its_end(notebook) -> None:
    """What show() showed while the run went on is its end, once the cell that waits is done."""
    shown = html(notebook[1])

    assert shown.count("Finished</span>") == 4  # the run's and three steps'
    assert "Running" not in shown
    assert "3 steps: 3 ran in" in shown
    assert "rate = <b>0.1</b>" in shown
    assert "loss = <b>0.0333333 (last of 3)</b>" in shown
    assert "no earlier result of this step" in shown
    assert "<svg" in shown
    assert "<script" not in shown
    assert "src=" not in shown
    assert notebook[2][0].data["text/plain"] == "'Finished'"


def test_what_was_reused_is_shown(notebook) -> None:
    """Another rate: the first step is reused, the others tell why they ran."""
    shown = html(notebook[3])

    assert shown.count("Reused</span>") == 1
    assert re.search(r"3 steps: 2 ran in [\d.]+ s, 1 reused, [\d.]+ s saved", shown)
    assert re.search(r"[\d.]+ s saved</span>", shown)
    assert "parameter &#x27;rate&#x27; changed" in shown or "rate" in shown


def test_a_pipeline_and_a_run_are_shown_as_they_are(notebook) -> None:
    """As the last line of a cell: the graph with its steps, and v1's table of a run."""
    pipeline, run = html(notebook[0]), html(notebook[4])

    assert pipeline.count("<rect") == 3
    assert "train.py" in pipeline
    assert "data of prepare" in pipeline
    assert all(word in run for word in ("nightly", "azureml.PipelineRun", "Finished", "Record"))


@pytest.mark.browser
@pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed")
def test_the_picture_of_the_page(notebook, tmp_path) -> None:
    """A browser shows it, with all of the graph and the table in sight."""
    from playwright.sync_api import sync_playwright

    docs = os.environ.get("UPDATE_SCREENSHOTS") == "1"
    path = (PROJECT / "docs/images" if docs else tmp_path) / "run-details.png"
    page = (
        '<!DOCTYPE html><meta charset="utf-8"><body style="margin:0;padding:14px 18px;'
        f'font-family:system-ui,sans-serif;width:max-content">{html(notebook[3])}'
    )
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        tab = browser.new_page(viewport={"width": 1200, "height": 400}, device_scale_factor=2)
        tab.set_content(page)
        boxes = tab.locator("rect")
        assert [boxes.nth(place).is_visible() for place in range(3)] == [True] * 3
        tab.locator("body").screenshot(path=path)
        browser.close()
    assert path.stat().st_size > 10_000
