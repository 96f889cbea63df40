"""One real Airflow for every end-to-end test, with the templates in its DAGs folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_aml.airflow.published import refresh
from airflow_aml.workspace.home import open_home
from scripts import templates
from scripts.demo import find_dag
from scripts.local_airflow import LocalAirflow
from scripts.postgresql import PostgreSql
from scripts.test_servers import NotInstalledError

HERE = Path(__file__).parent
# As docs/from-azure-ml.md has it: v1 programs in the DAGs folder are DAGs, too.
BUNDLES = [
    {
        "name": "dags-folder",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {},
    },
    {
        "name": "azureml-v1",
        "classpath": "airflow_aml.airflow.bundle.AmlDagBundle",
        "kwargs": {},
    },
]
SETTINGS = {
    **templates.AML_SETTINGS,
    "dag_processor.dag_bundle_config_list": json.dumps(BUNDLES),
    # The guide's curated environment, small: what its name stands for is a site's to say.
    "aml.curated_environments": '{"AzureML-Tutorial": ["six"]}',
    # Steps that hang on purpose take slots.
    "core.parallelism": "16",
    # What is edited is read at once in any case; two processors have other things to do.
    "dag_processor.min_file_process_interval": "60",
    "scheduler.scheduler_idle_sleep_time": "0.5",
    # How soon a task counts as lost whose supervisor was killed; the default is 300 s.
    "scheduler.task_instance_heartbeat_timeout": "30",
    "scheduler.task_instance_heartbeat_timeout_detection_interval": "5",
    # How soon what a killed scheduler has left is looked at by the next one; the default is 300 s.
    "scheduler.orphaned_tasks_check_interval": "10",
}
# A loaded machine may need minutes for what a quiet one does in 20 seconds.
LIMIT_SECONDS = 900


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test of this folder as one that needs a real Airflow."""
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.airflow)
            item.add_marker(pytest.mark.timeout(LIMIT_SECONDS))


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    """A running Airflow on PostgreSQL; every template is in its DAGs folder.

    Not on SQLite: what many tasks write at once locks it for longer than Airflow waits, which then
    takes tasks that go on for lost.
    """
    home = tmp_path_factory.mktemp("airflow")
    for name in templates.names():
        templates.copy(name, home / "dags", replace=True)
    try:
        server = PostgreSql()
    except NotInstalledError as error:
        pytest.skip(str(error))
    settings = {**SETTINGS, **server.airflow_settings}
    with server, LocalAirflow(home, extra_settings=settings) as running:
        yield running


@pytest.fixture(scope="session")
def diabetes_dag(airflow: LocalAirflow) -> str:
    """The id of the diabetes template's DAG."""
    return find_dag(airflow, airflow.dags_folder / "diabetes" / "pipeline.py")


@pytest.fixture
def program(airflow: LocalAirflow, tmp_path: Path) -> Path:
    """The template's folder, as a program's."""
    return templates.copy("rest_client", tmp_path, replace=True)


@pytest.fixture
def environment(airflow: LocalAirflow) -> dict[str, str]:
    """What a program needs to know of that Airflow."""
    return {
        **os.environ,
        "AIRFLOW__AML__WORKSPACE": str(airflow.home.workspace),
        "AIRFLOW_AML_API_URL": airflow.url,
        "AIRFLOW_AML_API_USER": airflow.user,
        "AIRFLOW_AML_API_PASSWORD": airflow.password,
    }


@pytest.fixture
def endpoint(airflow: LocalAirflow, program: Path, environment: dict[str, str]) -> str:
    """The address of the template's pipeline, published, whose folder has gone since."""
    command = [sys.executable, "pipeline.py"]
    done = subprocess.run(
        command, cwd=program, env=environment, capture_output=True, text=True, check=True
    )
    (program / "train" / "train.py").unlink()
    refresh(open_home(str(airflow.home.workspace)), airflow.dags_folder / "published")
    address = done.stdout.split()[-1]
    airflow.rest.wait_for_dag(f"Train-{address.rpartition('/')[2][:8]}")
    return address
