"""Many runs of one pipeline at once, on a real Airflow: each step executes once."""

from __future__ import annotations

from pathlib import Path

import pytest

from scripts.local_airflow import LocalAirflow
from tests.e2e import killing
from tests.e2e.killing import STEPS, ChainRun

FILES = 300
RUNS = 8


@pytest.mark.soak
def test_eight_runs_for_each_of_three_parameters(airflow: LocalAirflow, tmp_path: Path) -> None:
    """Of eight runs with one parameter one executes a step; the others use what it made."""
    dag_id = "chain_at_once"
    killing.know_chain(airflow, dag_id)
    folders = [tmp_path / name for name in ("one", "two", "three")]
    for folder in folders:
        folder.mkdir()
    runs = [ChainRun(airflow, folder, FILES, dag_id).begin() for folder in folders * RUNS]

    airflow.rest.unpause(dag_id)

    assert [run.end() for run in runs] == ["success"] * len(runs)
    for folder in folders:
        assert killing.executions(folder) == dict.fromkeys(STEPS, 1)
        mine = [run for run in runs if run.notes == folder]
        for step in STEPS:
            statuses = sorted(run.status(step) for run in mine)
            assert statuses == ["Finished"] + ["Reused"] * (RUNS - 1)
            assert len({str(run.xcoms(step)[f"{step}_out"]) for run in mine}) == 1
        killing.outputs_are(
            mine[0], killing.undisturbed(folder, FILES, tmp_path / f"alone-{folder.name}")
        )
        killing.nothing_is_left(mine[0])
