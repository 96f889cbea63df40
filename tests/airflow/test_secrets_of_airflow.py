"""Secrets that Airflow has, in a step's script and in a program beside Airflow."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from airflow_aml import Workspace
from airflow_aml.errors import RunEnvironmentException, UserErrorException


@pytest.fixture
def vault(database):
    """The key vault, in Airflow's database; it is left empty."""
    vault = Workspace().get_default_keyvault()
    yield vault
    for each in vault.list_secrets():
        vault.delete_secret(each["name"])


def test_a_script_reads_airflows_variables(write, one_dag, run_dag, vault, workspace, capsys):
    """By v1's name; the value is in no log, XCom, plan or record, and a missing one is named."""
    vault.set_secret("db-password", "correct horse battery")
    write(
        "src/a.py",
        """
        from airflow_aml import Run
        run = Run.get_context()
        assert run.get_secret("db-password") == "correct horse" + " battery"
        print("it is", run.get_secret("db-password"))
        print("later", run.get_secret("missing-one"))
        """,
    )
    write(
        "p.py",
        """
        # airflow dag
        from airflow_aml import *
        p = Pipeline(Workspace(), [PythonScriptStep("a.py", source_directory="src")])
        """,
    )

    ran = run_dag(one_dag())

    assert ran.states["a"] == "failed"
    (why,) = workspace.root.rglob("failed/a")
    assert "no secret 'missing-one'. Add the Airflow Variable 'aml_secret_missing_one'" in (
        why.read_text()
    )
    for path in workspace.root.rglob("*"):
        if path.is_file() and path.suffix != ".zip":
            assert b"correct horse battery" not in path.read_bytes(), path
    (log,) = workspace.root.rglob("stdoutlogs.txt")
    assert log.read_text() == "it is ***\n"
    assert "horse" not in "".join(capsys.readouterr())


def test_the_key_vault_in_a_program(vault):
    """A program on Airflow's machine keeps, lists, reads and removes secrets."""
    vault.set_secrets({"a-b": "value one", "c": "value two"})

    assert vault.list_secrets() == [{"name": "a-b"}, {"name": "c"}]
    assert vault.get_secrets(["a-b", "c"]) == {"a-b": "value one", "c": "value two"}
    vault.delete_secret("c")
    assert vault.list_secrets() == [{"name": "a-b"}]
    with pytest.raises(UserErrorException, match="there is no secret 'c'"):
        vault.get_secret("c")
    with pytest.raises(UserErrorException, match="no secret 'c' in Airflow's database"):
        vault.delete_secret("c")


def test_an_airflow_that_was_never_set_up(tmp_path):
    """One sentence; its other backends are asked, and no database is made by the way."""
    (tmp_path / "kept.json").write_text('{"aml_secret_there": "from a file"}')
    program = """
from airflow_aml import Workspace
from airflow_aml.errors import UserErrorException
vault = Workspace().get_default_keyvault()
print(vault.get_secret("there"))
for call in (lambda: vault.get_secret("nope"), lambda: vault.set_secret("a", "b")):
    try:
        call()
    except UserErrorException as error:
        print(error)
"""
    variables = {
        **{key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")},
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__SECRETS__BACKEND": ("airflow.secrets.local_filesystem.LocalFilesystemBackend"),
        "AIRFLOW__SECRETS__BACKEND_KWARGS": json.dumps(
            {"variables_file_path": str(tmp_path / "kept.json")}
        ),
    }
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=True)

    there, missing, kept = done.stdout.splitlines()
    assert there == "from a file"
    assert "there is no secret 'nope'. Add the Airflow Variable" in missing
    assert "Airflow's database was never set up here" in kept
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("airflow.db"))


def test_a_file_that_is_being_loaded_only_reads(write, parse, vault):
    """Airflow loads a file again and again: a secret can be read there, and not be set."""
    vault.set_secret("a", "value one")
    write(
        "p.py",
        """
        # airflow dag
        from airflow_aml import *
        vault = Workspace().get_default_keyvault()
        assert vault.get_secret("a") == "value one"
        vault.set_secret("a", "other")
        """,
    )

    (error,) = parse().errors.values()
    assert "Keyvault.set_secret reads or changes data, and this file is only being loaded" in error
    assert RunEnvironmentException.__name__ in error
