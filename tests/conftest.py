"""Every test gets an Airflow home that is nobody's, and what it takes to run real DAGs in it.

The environment is set before anything imports Airflow.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from airflow_aml.workspace.home import Home, open_home, path_of_uri

# How fast the machine is just now is no property of what is tested.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

_HOME = tempfile.mkdtemp(prefix="airflow-aml-tests-")
atexit.register(shutil.rmtree, _HOME, ignore_errors=True)

for name in [name for name in os.environ if name.startswith(("AIRFLOW__", "AIRFLOW_"))]:
    del os.environ[name]
os.makedirs(os.path.join(_HOME, "dags"))
os.environ.update(
    {
        "AIRFLOW_HOME": _HOME,
        "AIRFLOW_AML_CACHE": os.path.join(_HOME, "cache"),
        # The guide's curated environment, small: what its name stands for is a site's to say.
        "AIRFLOW__AML__CURATED_ENVIRONMENTS": '{"AzureML-Tutorial": ["six"]}',
        "AIRFLOW__CORE__DAGS_FOLDER": os.path.join(_HOME, "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": os.path.join(_HOME, "bundles"),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{_HOME}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": os.path.join(_HOME, "logs"),
    }
)


@pytest.fixture(scope="session")
def database() -> None:
    """Airflow's metadata database, made once."""
    from airflow.utils.db import initdb

    initdb()


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A workspace of the test's own."""
    root = tmp_path / "workspace"
    monkeypatch.setenv("AIRFLOW__AML__WORKSPACE", root.as_uri())
    monkeypatch.setenv("AIRFLOW__AML__SCRATCH", str(tmp_path / "scratch"))
    return open_home(root.as_uri())


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Writes a file of the test's dags folder, dedented, and returns its path."""

    def put(name: str, text: str) -> Path:
        path = tmp_path / "dags" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip())
        return path

    return put


@dataclass
class Parsed:
    """What Airflow made of a dags folder."""

    dags: dict[str, Any]
    errors: dict[str, str]
    warnings: list[str]


@pytest.fixture
def parse(tmp_path: Path) -> Callable[[], Parsed]:
    """Parses the test's dags folder with Airflow's own machinery."""

    def run() -> Parsed:
        from airflow.dag_processing.dagbag import BundleDagBag

        folder = tmp_path / "dags"
        bag = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder")
        warnings = [text for texts in bag.captured_warnings.values() for text in texts]
        return Parsed(dict(bag.dags), dict(bag.import_errors), warnings)

    return run


@dataclass
class Ran:
    """A finished run."""

    dag_run: Any

    @property
    def state(self) -> str:
        return str(self.dag_run.state)

    @property
    def states(self) -> dict[str, str]:
        return {ti.task_id: str(ti.state) for ti in self.dag_run.get_task_instances()}

    def tries(self, task_id: str) -> int:
        return int(self._ti(task_id).try_number)

    def xcom(self, task_id: str, key: str = "return_value") -> Any:
        return self._ti(task_id).xcom_pull(task_ids=task_id, key=key)

    def output(self, task_id: str, name: str) -> Path:
        return Path(path_of_uri(self.xcom(task_id, name)["uri"]))

    def _ti(self, task_id: str) -> Any:
        return next(ti for ti in self.dag_run.get_task_instances() if ti.task_id == task_id)


@pytest.fixture
def run_dag(database: None, workspace: Home) -> Callable[..., Ran]:
    """Runs a DAG to its end, in this process, with Airflow's own task runner."""

    def run(dag: Any, conf: dict[str, Any] | None = None) -> Ran:
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

        for task in dag.tasks:
            task.retry_delay = timedelta(seconds=0)
        DagBundlesManager().sync_bundles_to_db()
        bag = DagBag(collect_dags=False, bundle_name="dags-folder")
        bag.bag_dag(dag)
        sync_bag_to_db(bag, "dags-folder", None)
        return Ran(dag.test(run_conf=conf or {}))

    return run


@pytest.fixture
def one_dag(parse: Callable[[], Parsed]) -> Callable[[], Any]:
    """The only DAG of the test's dags folder."""

    def get() -> Any:
        parsed = parse()
        assert parsed.errors == {}
        (dag,) = parsed.dags.values()
        return dag

    return get
