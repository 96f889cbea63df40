"""run.get_secret and the key vault: who answers, and that what was answered is hidden."""

from __future__ import annotations

import os
import socket
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_aml import Keyvault, Run, Workspace
from airflow_aml.errors import NotServedError, UserErrorException
from airflow_aml.runtime.inline import InlineRuntime
from airflow_aml.runtime.secrets import SECRETS_VARIABLE, answering, question
from tests.runtime.laboratory import Lab

KEPT = {
    "db-password": "correct horse battery",
    "key": "-----BEGIN-----\nAbCdEfGhIjKl\nMnOpQrStUvWx\n-----END-----\n",
}


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def run(lab: Lab, script: str):
    """Runs a script as a task does, with somebody who knows these secrets."""
    job = lab.job("from airflow_aml import Run, Workspace\nrun = Run.get_context()\n" + script)
    with answering(KEPT.get) as path:
        job = replace(job, environment_variables={SECRETS_VARIABLE: path})
        lab.lines = []
        report = InlineRuntime(job, lab.lines.append, watch_parent=False).run()
    return job, report


def test_a_script_gets_what_it_asks_for(lab: Lab) -> None:
    """By run.get_secret, get_secrets and the key vault, from many threads at once."""
    _, report = run(
        lab,
        """
from concurrent.futures import ThreadPoolExecutor
vault = Workspace().get_default_keyvault()
assert run.get_secret("db-password").startswith("correct")
assert vault.get_secret("key").splitlines()[1] == "AbCdEfGh" + "IjKl"
assert sorted(run.get_secrets(["key", "db-password"])) == ["db-password", "key"]
with ThreadPoolExecutor(20) as pool:
    assert len(set(pool.map(run.get_secret, ["key"] * 100))) == 1
""",
    )
    assert report.outcome == "finished", lab.lines


def test_what_a_script_prints_is_hidden(lab: Lab) -> None:
    """In the task's log, in the run's own logs, and in what is said of a failure."""
    job, report = run(
        lab,
        """
import sys
print("it is", run.get_secret("db-password"))
print(run.get_secret("key"))
sys.exit("cannot log in with " + run.get_secret("db-password"))
""",
    )
    kept = Path(job.record, "files/logs/azureml")
    texts = ["\n".join(lab.lines), "\n".join(report.stderr_tail)]
    texts += [(kept / name).read_text() for name in ("stdoutlogs.txt", "stderrlogs.txt")]

    assert report.outcome == "script_failed"
    assert "it is ***" in texts[0]
    assert "cannot log in with ***" in texts[1]
    for text in texts:
        assert "horse" not in text
        assert "AbCdEfGh" not in text
        assert "MnOpQrSt" not in text


def test_no_secret_is_left_anywhere(lab: Lab) -> None:
    """Not in the environment of the script, and in no file of the workspace or of the attempt."""
    job, report = run(
        lab,
        """
import os
value = run.get_secret("db-password")
assert not any(value in each for each in os.environ.values())
""",
    )
    assert report.outcome == "finished"
    for folder in (lab.folder, Path(job.work), Path(job.record)):
        for path in folder.rglob("*"):
            if path.is_file() and path.suffix != ".zip":
                assert b"correct horse" not in path.read_bytes(), path


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        ('run.get_secret("other")', "there is no secret 'other'. Add the Airflow Variable 'aml_se"),
        ('run.get_secret("a b")', "'a b' cannot be a secret's name: up to 127 letters"),
        ('Workspace().get_default_keyvault().set_secret("a", "b")', "and not in a step's script."),
    ],
)
def test_one_clear_error(lab: Lab, call: str, sentence: str) -> None:
    """What is not there is named, and so is what would make it be there."""
    _, report = run(lab, call)

    assert report.outcome == "script_failed"
    assert sentence in report.stderr_tail[-1]


def test_only_this_user_can_ask() -> None:
    """The socket lies in a folder that nobody else can enter, and is gone afterwards."""
    with answering(KEPT.get) as path:
        assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
        assert question(path, "nobody's") is None
    assert not os.path.exists(os.path.dirname(path))
    with pytest.raises(OSError):  # noqa: PT011
        question(path, "key")


def test_a_backend_that_breaks_says_nothing_secret() -> None:
    """Its error may hold anything, so its kind is told; nonsense at the socket stops nothing."""

    def broken(name: str) -> str:
        raise RuntimeError("password=hunter2")

    def answerers() -> list[threading.Thread]:
        return [each for each in threading.enumerate() if each.name.endswith("(_serve)")]

    with answering(broken) as path:
        started = answerers()
        assert started
        with socket.socket(socket.AF_UNIX) as calling:
            calling.connect(path)
            calling.sendall(b"[nonsense\n")
            assert calling.recv(10) == b""
        with pytest.raises(ValueError, match=r"^RuntimeError$"):
            question(path, "key")
    for thread in started:
        thread.join(5)
    assert not [thread for thread in started if thread.is_alive()]


def test_outside_airflow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A program without Airflow has the variable of the environment that Airflow would read."""
    import sys

    monkeypatch.setitem(sys.modules, "airflow_aml.airflow.secrets", None)
    monkeypatch.setenv("AIRFLOW_VAR_AML_SECRET_DB_PASSWORD", "from here")

    assert Run.get_context().get_secret("db-password") == "from here"
    assert Run.get_context().get_secrets(["db-password"]) == {"db-password": "from here"}
    assert Workspace().get_default_keyvault().get_secret("db-password") == "from here"
    with pytest.raises(UserErrorException, match="or set AIRFLOW_VAR_AML_SECRET_OTHER"):
        Keyvault().get_secret("other")
    with pytest.raises(NotServedError, match="Use `airflow variables`"):
        Keyvault().list_secrets()
