"""What a person sees in Airflow's UI, in a real browser.

Screenshots go to a folder for temporary files; with UPDATE_SCREENSHOTS=1 to docs/images.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from scripts.demo import find_dag, read_metrics, task_id_of
from scripts.local_airflow import LocalAirflow
from scripts.templates import PROJECT
from tests.e2e.test_watched_airflow import run_of, watching

CHROMIUM = Path("/usr/bin/chromium")
CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 120_000
LINEAGE = Path(__file__).parent / "lineage"
SCHEDULES = Path(__file__).parent / "schedules"
ASSETS = "/api/v2/assets"
NASTY = "<img src=x onerror=alert(1)><script>alert(2)<b>"
PROGRAM = """
import sys
from airflow_aml import *
step = PythonScriptStep("say.py", name=sys.argv[1], source_directory="src")
print(Pipeline(Workspace(), [step]).publish(sys.argv[1], description=sys.argv[1]).dag_id)
"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not installed"),
]


@pytest.fixture(scope="module")
def page(airflow: LocalAirflow) -> Iterator[Page]:
    """A browser page in which the user has logged in."""
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=CHROMIUM_ARGUMENTS)
        tab = browser.new_page(viewport={"width": 1400, "height": 900})
        tab.set_default_timeout(PATIENCE_MS)
        tab.goto(airflow.url)
        tab.fill('input[name="username"]', airflow.user)
        tab.fill('input[name="password"]', airflow.password)
        tab.click('button[type="submit"]')
        tab.wait_for_url(lambda url: "/auth/" not in url)
        yield tab
        browser.close()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots go."""
    if os.environ.get("UPDATE_SCREENSHOTS") == "1":
        return PROJECT / "docs" / "images"
    return tmp_path_factory.mktemp("screenshots")


@pytest.fixture(scope="module")
def form_run(airflow: LocalAirflow, page: Page, diabetes_dag: str, pictures: Path) -> str:
    """A run triggered from the form with another regularization; its id, after its end."""
    page.goto(f"{airflow.url}/dags/{diabetes_dag}")
    page.get_by_test_id("trigger-dag-button").click()
    parameter = page.locator('input[name="element_regularization"]')
    expect(parameter).to_have_value("0.01")
    parameter.fill("0.5")
    parameter.press("Tab")
    take_picture(page, pictures / "trigger-form.png")
    with page.expect_response(
        lambda answer: answer.request.method == "POST" and "/dagRuns" in answer.url
    ) as triggered:
        page.get_by_test_id("trigger-dag-submit").click()
    run_id = str(triggered.value.json()["dag_run_id"])
    assert airflow.rest.wait(diabetes_dag, run_id)["state"] == "success"
    return run_id


def take_picture(page: Page, path: Path) -> None:
    """A screenshot, once what moves has come to rest."""
    page.wait_for_timeout(1500)
    page.screenshot(path=path)
    assert path.stat().st_size > 10_000


def test_graph_shows_every_step(
    airflow: LocalAirflow, page: Page, diabetes_dag: str, pictures: Path
) -> None:
    """The DAG's graph has a box with the name of each step of the pipeline."""
    page.goto(f"{airflow.url}/dags/{diabetes_dag}")
    page.get_by_label("Show Graph").first.click()

    boxes = page.locator(".react-flow__node")
    for step in ("prepare", "train", "evaluate"):
        expect(boxes.filter(has_text=step).first).to_be_visible()

    take_picture(page, pictures / "graph.png")
    page.get_by_label("Show Grid").first.click()


def test_form_value_reaches_the_scripts(
    airflow: LocalAirflow, diabetes_dag: str, form_run: str
) -> None:
    """The form asks for the pipeline's parameter, and its value decides the result."""
    metrics = read_metrics(airflow, diabetes_dag, form_run)

    assert airflow.rest.dag_run(diabetes_dag, form_run)["conf"]["regularization"] == 0.5
    assert metrics["regularization"] == 0.5


def test_grid_shows_the_run(
    airflow: LocalAirflow, page: Page, diabetes_dag: str, form_run: str, pictures: Path
) -> None:
    """After a run the grid has a square for each step."""
    page.goto(f"{airflow.url}/dags/{diabetes_dag}")

    for step in ("prepare", "train", "evaluate"):
        task_id = task_id_of(airflow, diabetes_dag, step)
        expect(page.get_by_test_id(f"grid-{form_run}-{task_id}")).to_be_visible()

    take_picture(page, pictures / "grid.png")


def test_task_log_shows_the_scripts_lines(
    airflow: LocalAirflow, page: Page, diabetes_dag: str, form_run: str, pictures: Path
) -> None:
    """The log of a task has the lines that its script printed."""
    task_id = task_id_of(airflow, diabetes_dag, "train")
    run = quote(form_run, safe="")
    page.goto(f"{airflow.url}/dags/{diabetes_dag}/runs/{run}/tasks/{task_id}")

    line = page.get_by_text("Trained on 331 patients with regularization 0.5").first
    expect(line).to_be_visible()
    line.scroll_into_view_if_needed()

    take_picture(page, pictures / "task-log.png")


@pytest.fixture(scope="module")
def reused_run(airflow: LocalAirflow, diabetes_dag: str, form_run: str) -> str:
    """A run whose steps are all reused; its id."""
    for _ in range(2):
        run_id = airflow.rest.trigger(diabetes_dag)
        assert airflow.rest.wait(diabetes_dag, run_id)["state"] == "success"
    return run_id


def test_grid_shows_reused_steps(
    airflow: LocalAirflow, page: Page, diabetes_dag: str, reused_run: str, pictures: Path
) -> None:
    """Beside the runs before it, a run that changed nothing shows its steps as skipped."""
    page.goto(f"{airflow.url}/dags/{diabetes_dag}")

    for step in ("prepare", "train", "evaluate"):
        task_id = task_id_of(airflow, diabetes_dag, step)
        expect(page.get_by_test_id(f"grid-{reused_run}-{task_id}")).to_be_visible()

    take_picture(page, pictures / "grid-reused.png")


def test_reused_step_says_why(
    airflow: LocalAirflow, page: Page, diabetes_dag: str, reused_run: str, pictures: Path
) -> None:
    """A reused step has the XComs of its result, with the reason."""
    task_id = task_id_of(airflow, diabetes_dag, "train")
    run = quote(reused_run, safe="")
    page.goto(f"{airflow.url}/dags/{diabetes_dag}/runs/{run}/tasks/{task_id}/xcom")

    expect(page.get_by_role("row").filter(has_text="return_value")).to_be_visible()
    take_picture(page, pictures / "reused-step.png")
    result = airflow.rest.xcoms(diabetes_dag, reused_run, task_id)["return_value"]
    assert result["reason"].startswith("nothing changed since run")


@pytest.fixture(scope="module")
def lineage_dags(airflow: LocalAirflow) -> dict[str, str]:
    """Two pipeline files that know each other by a dataset's name alone, both run."""
    folder = airflow.dags_folder / "lineage"
    shutil.copytree(LINEAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    found = {}
    for name in ("clean_sales", "report_sales"):
        found[name] = find_dag(airflow, folder / f"{name}.py")
        run_id = airflow.rest.trigger(found[name])
        assert airflow.rest.wait(found[name], run_id)["state"] == "success"
    return found


@pytest.fixture(scope="module")
def asset(airflow: LocalAirflow, lineage_dags: dict[str, str]) -> dict[str, Any]:
    """The dataset that passes between them, as Airflow's API knows it."""
    query = urlencode({"uri_pattern": "aml://default/datasets/clean%20sales"})
    (found,) = airflow.rest.get(f"{ASSETS}?{query}").json()["assets"]
    return dict(found)


def test_the_event_says_what_was_written(
    airflow: LocalAirflow, lineage_dags: dict[str, str], asset: dict[str, Any]
) -> None:
    """One event, of the step that wrote it: version, digest, files and bytes of the dataset."""
    events = airflow.rest.get(f"{ASSETS}/events?{urlencode({'asset_id': asset['id']})}").json()

    (event,) = events["asset_events"]
    assert (event["source_dag_id"], event["source_task_id"]) == (
        lineage_dags["clean_sales"],
        "clean",
    )
    extra = event["extra"]
    assert (extra["version"], extra["files"], extra["bytes"]) == (1, 2, 4)
    assert extra["digest"].partition(":")[2]
    assert extra["uri"].endswith("/cleaned")


def test_airflow_knows_who_writes_and_who_reads(
    lineage_dags: dict[str, str], asset: dict[str, Any]
) -> None:
    """The dataset's producing and consuming tasks are of two DAGs."""
    sides = {
        side: [(each["dag_id"], each["task_id"]) for each in asset[f"{side}_tasks"]]
        for side in ("producing", "consuming")
    }

    assert sides == {
        "producing": [(lineage_dags["clean_sales"], "clean")],
        "consuming": [(lineage_dags["report_sales"], "sum_up")],
    }


def test_the_asset_graph_shows_both_pipelines(
    airflow: LocalAirflow, page: Page, pictures: Path, asset: dict[str, Any]
) -> None:
    """From the data that the first reads to what the second makes, with the steps between."""
    page.goto(f"{airflow.url}/assets/{asset['id']}")
    page.get_by_text("Task Dependencies").click()

    boxes = page.locator(".react-flow__node")
    expect(boxes.filter(has_text="default/raw sales")).to_be_visible()
    page.get_by_label("Fit View").click()  # boxes out of sight are not in the page
    for text in (
        "lineage_clean_sales",
        "default/clean sales",
        "lineage_report_sales",
        "default/sales report",
    ):
        expect(boxes.filter(has_text=text)).to_be_visible()

    take_picture(page, pictures / "asset-graph.png")


def test_the_dags_page_says_how_often_it_runs(
    airflow: LocalAirflow, page: Page, pictures: Path
) -> None:
    """A schedule stands on its DAG's page in words, beside the time of the next run."""
    shutil.copytree(SCHEDULES, airflow.dags_folder / "sales", dirs_exist_ok=True)
    airflow.rest.wait_for_dag("sales_stock")

    page.goto(f"{airflow.url}/dags/sales_stock")

    expect(page.get_by_text("Every 90 minutes").first).to_be_visible()
    take_picture(page, pictures / "schedule.png")


def test_a_published_pipelines_page_says_its_version(
    airflow: LocalAirflow,
    page: Page,
    pictures: Path,
    endpoint: str,
) -> None:
    """Its DAG, which no file of the DAGs folder declares, is shown by its name and version."""
    page.goto(f"{airflow.url}/dags/Train-{endpoint.rpartition('/')[2][:8]}")

    expect(page.get_by_role("heading", name="Train (version 1)").first).to_be_visible()
    page.get_by_label("Show Graph").first.click()
    expect(page.locator(".react-flow__node").filter(has_text="train").first).to_be_visible()

    take_picture(page, pictures / "published.png")
    page.get_by_label("Show Grid").first.click()


def test_a_runs_page_says_what_has_changed(
    airflow: LocalAirflow, page: Page, pictures: Path
) -> None:
    """The run that a dropped file has started has a note with the file's path."""
    drop = watching(airflow, "incoming")
    drop("orders.csv", "a,b\n1,2\n")
    run = run_of(airflow, "new_files_pipeline", "incoming/orders.csv")

    page.goto(f"{airflow.url}/dags/new_files_pipeline/runs/{quote(run['dag_run_id'], safe='')}")

    expect(page.get_by_text("incoming/orders.csv").first).to_be_visible()
    take_picture(page, pictures / "changed.png")


def test_names_are_texts_on_airflows_pages(
    airflow: LocalAirflow,
    page: Page,
    tmp_path: Path,
    environment: dict[str, str],
) -> None:
    """HTML in the names of a published pipeline and of a changed file is text, and does nothing."""
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "say.py").write_text("print('said')\n")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, NASTY],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    dag_id = done.stdout.strip()
    airflow.rest.wait_for_dag(dag_id)
    watching(airflow, "incoming")(f"{NASTY}.csv", "a,b\n1,2\n")
    run = run_of(airflow, "new_files_pipeline", NASTY)
    came: list[str] = []
    page.on("dialog", lambda dialog: (came.append(dialog.message), dialog.dismiss()))

    page.goto(f"{airflow.url}/dags/{dag_id}")
    expect(page.get_by_role("heading", name=NASTY).first).to_be_visible()
    page.get_by_label("Show Graph").first.click()
    expect(page.locator(".react-flow__node").filter(has_text=NASTY).first).to_be_visible()
    page.get_by_label("Show Grid").first.click()
    page.goto(f"{airflow.url}/dags/new_files_pipeline/runs/{quote(run['dag_run_id'], safe='')}")
    expect(page.get_by_text("1 file changed").first).to_be_visible()
    page.wait_for_timeout(1500)

    assert came == []
