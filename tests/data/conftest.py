"""A workspace, a project folder, and files in a datastore."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_aml import Datastore, Workspace
from airflow_aml.definition.declarations import Declarations
from airflow_aml.definition.engine import using
from airflow_aml.definition.origin import loading
from airflow_aml.workspace.home import Home


@pytest.fixture
def ws(workspace: Home, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A workspace of the test's own, as a program has it."""
    for name in ("AZUREML_RUN_ID", "AIRFLOW_AML_ATTEMPT", "AIRFLOW_AML_STORES"):
        monkeypatch.delenv(name, raising=False)
    return Workspace()


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """The folder of the test's defining file."""
    folder = tmp_path / "project"
    folder.mkdir()
    with loading(str(folder / "pipeline.py")):
        yield folder


@pytest.fixture
def store(ws: Workspace) -> Datastore:
    """The default datastore."""
    return ws.get_default_datastore()


@pytest.fixture
def put(workspace: Home) -> Callable[[str, str | bytes], Path]:
    """Writes a file of the default datastore."""

    def write(path: str, content: str | bytes = "x") -> Path:
        place = workspace.root / "datastores" / "workspaceblobstore" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            place.write_bytes(content)
        else:
            place.write_text(textwrap.dedent(content).lstrip("\n"))
        return place

    return write


@pytest.fixture
def declared(project: Path) -> Iterator[Declarations]:
    """What the test declares: inside, its file is only being loaded."""
    declarations = Declarations(str(project / "pipeline.py"), str(project))
    with using(declarations):
        yield declarations
