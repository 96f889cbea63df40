"""A program's folder, and the pipeline that it publishes."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from airflow_aml.airflow.published import refresh
from airflow_aml.definition.origin import loading

ADMIN = "admin"

SCRIPT = """
    import argparse, os
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate")
    parser.add_argument("--out")
    args = parser.parse_args()
    with open(os.path.join(args.out, "rate.txt"), "w") as f:
        f.write(args.rate)
"""


@pytest.fixture
def pipeline(write, workspace):
    """A pipeline of one step, with a parameter, defined in a file of its own."""
    from airflow_aml import (
        OutputFileDatasetConfig,
        Pipeline,
        PipelineParameter,
        PythonScriptStep,
        Workspace,
    )

    write("src/train.py", SCRIPT)
    file = write("program.py", "pass")
    with loading(str(file)):
        out = OutputFileDatasetConfig("out")
        rate = PipelineParameter("rate", 0.1)
        arguments = ["--rate", rate, "--out", out]
        step = PythonScriptStep(
            "train.py", name="train", source_directory="src", arguments=arguments
        )
        return Pipeline(Workspace(), [step], description="Trains")


@pytest.fixture(scope="module")
def api():
    """Airflow's API, with the plugin; only no socket is between."""
    from airflow.api_fastapi.app import create_app

    return create_app(apps="core")


@pytest.fixture
def call(api, database, monkeypatch):
    """Calls the API with the token of a role; ``None``: without one.

    ``meanwhile`` is a coroutine that begins before the call, in the server's event loop.
    """
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    def send(method, address, *, role=ADMIN, seconds=600, meanwhile=None, **options):
        headers = dict(options.pop("headers", ()))
        if role is not None:
            user = SimpleAuthManagerUser(username=role, role=role)
            token = get_auth_manager().generate_jwt(user, expiration_time_in_seconds=seconds)
            headers["Authorization"] = f"Bearer {token}"

        async def go():
            other = asyncio.create_task(meanwhile) if meanwhile else None
            await asyncio.sleep(0)
            transport = httpx.ASGITransport(app=api, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
                answer = await client.request(method, address, headers=headers, **options)
            if other is not None:
                await other
            return answer

        return asyncio.run(go())

    monkeypatch.setenv("AIRFLOW_AML_API_URL", "http://here")
    return send


@pytest.fixture
def in_airflow(workspace, tmp_path, database):
    """Lets Airflow read what is published in the workspace, as its bundle does."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    def read():
        folder = tmp_path / "published"
        refresh(workspace, folder)
        DagBundlesManager().sync_bundles_to_db()
        bag = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder")
        assert bag.import_errors == {}
        sync_bag_to_db(bag, "dags-folder", None)

    return read


@pytest.fixture
def reading(write, workspace, in_airflow):
    """A published pipeline with parameters: a number, a path, and a registered dataset."""
    from airflow_aml import (
        DataPath,
        DataPathComputeBinding,
        Dataset,
        DatasetConsumptionConfig,
        Pipeline,
        PipelineParameter,
        PythonScriptStep,
        Workspace,
    )

    write("src/read.py", "print('read')")
    file = write("program.py", "pass")
    with loading(str(file)):
        ws = Workspace()
        store = ws.get_default_datastore()
        for number in (1, 2):
            place = workspace.root / f"datastores/workspaceblobstore/sold{number}/a.txt"
            place.parent.mkdir(parents=True)
            place.write_text(str(number))
            sold = Dataset.File.from_files((store, f"sold{number}"))
            sold = sold.register(ws, "sales", create_new_version=True)
        path = (PipelineParameter("raw", DataPath(store, "sold1")), DataPathComputeBinding())
        data = DatasetConsumptionConfig("data", PipelineParameter("sales", sold)).as_mount()
        rate = PipelineParameter("rate", 0.1)
        step = PythonScriptStep(
            "read.py", source_directory="src", inputs=[path], arguments=[path, data, rate]
        )
        made = Pipeline(ws, [step]).publish("Data")
    in_airflow()
    return made
