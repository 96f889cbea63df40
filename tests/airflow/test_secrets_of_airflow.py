"""Secrets that Airflow has, in a step's script and in a program beside Airflow."""

from __future__ import annotations

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
