"""A pipeline that runs when another has registered a new version of a dataset."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from scripts.demo import find_dag
from scripts.local_airflow import LocalAirflow

FOLDER = Path(__file__).parent / "versions"


def test_a_new_version_starts_a_run(airflow: LocalAirflow) -> None:
    """Each new version is one run, which reads it; a result that is reused is no new version."""
    folder = airflow.dags_folder / "versions"
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    make, count = find_dag(airflow, folder / "make.py"), find_dag(airflow, folder / "count.py")

    def runs(number: int) -> list[dict[str, Any]]:
        def ended() -> list[dict[str, Any]] | None:
            found = airflow.rest.dag_runs(count)
            over = {each["state"] for each in found} <= {"success", "failed"}
            return found if over and len(found) >= number else None

        what = f"{number} runs of {count}"
        found: list[dict[str, Any]] = airflow.rest.wait_until(what, ended, timeout=300)
        return sorted(found, key=lambda each: str(each["run_after"]))

    for rows, number in ((3, 1), (3, 1), (5, 2)):
        run_id = airflow.rest.trigger(make, {"rows": rows})
        assert airflow.rest.wait(make, run_id)["state"] == "success"
        runs(number)

    found = runs(2)
    logs = [airflow.rest.task_log(count, each["dag_run_id"], "count") for each in found]
    assert [each["run_type"] for each in found] == ["asset_triggered"] * 2
    assert ["3 rows" in logs[0], "5 rows" in logs[1]] == [True, True]
