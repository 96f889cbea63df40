"""A program outside Airflow starts runs there, follows them, reads what they made, ends them."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

from airflow_aml.airflow.rest import Rest
from scripts.local_airflow import LocalAirflow

REMOTE = Path(__file__).parent / "remote"
PATIENCE = 300  # of a loaded machine
END_SECONDS = 30

CANCEL = """
import sys
from airflow_aml import PipelineRun, Workspace

run = PipelineRun.get(Workspace(), sys.argv[1])
print(run.wait_for_completion(show_output=False, timeout_seconds=1), run.status)
run.cancel()
print(run.get_status(), run.status, [step.get_status() for step in run.get_steps()])
"""


@dataclass
class Desk:
    """Where programs are run: a copy of the pipelines, and the variables that name Airflow."""

    airflow: LocalAirflow
    folder: Path
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "AIRFLOW__AML__WORKSPACE": str(self.airflow.home.workspace),
            "AIRFLOW_AML_API_URL": self.airflow.url,
            "AIRFLOW_AML_API_USER": self.airflow.user,
            "AIRFLOW_AML_API_PASSWORD": self.airflow.password,
            **self.variables,
        }

    def start(self, *arguments: Any, **options: Any) -> subprocess.Popen[str]:
        command = [sys.executable, *map(str, arguments)]
        options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen(
            command, cwd=self.folder, env=self.environment, text=True, **options
        )

    def run(self, *arguments: Any) -> subprocess.CompletedProcess[str]:
        with self.start(*arguments) as process:
            out, err = process.communicate(timeout=PATIENCE)
        return subprocess.CompletedProcess(arguments, process.returncode, out, err)

    def says(self, *arguments: Any, **variables: str) -> str:
        """The last line of what a program that fails says, in another environment."""
        done = Desk(self.airflow, self.folder, variables).run(*arguments)
        assert done.returncode == 1, done
        return done.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def desk(airflow: LocalAirflow, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The same files in Airflow's dags folder and elsewhere."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copytree(REMOTE, airflow.dags_folder / "remote")
    shutil.copytree(REMOTE, folder / "remote")
    for dag_id in ("remote_ridge", "remote_endless", "remote_two.one", "remote_two.other"):
        airflow.rest.wait_for_dag(dag_id)
    return Desk(airflow, folder)


@pytest.fixture(scope="module")
def followed(desk: Desk) -> list[str]:
    """What a program printed that ran all three steps."""
    done = desk.run("remote/ridge.py", 0.2)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_the_program_is_told_how_its_run_goes(desk: Desk, followed: list[str]) -> None:
    """Each step's beginning and end is a line, and the end is a summary."""
    assert followed[0].startswith(f"{desk.airflow.url}/dags/remote_ridge/runs/manual__")
    assert httpx.get(followed[0], trust_env=False).status_code == 200
    assert followed[1].startswith("PipelineRunId: ")
    ends = [line for line in followed if line.startswith("StepRun(") and "Finished" in line]
    assert [line.split()[1] for line in ends] == ["prepare", "train", "score"]
    assert ends[0].endswith("s: no earlier result of this step")
    at = followed.index("PipelineRun Execution Summary")
    assert followed[at - 2] == "PipelineRun Status: Finished"
    assert followed[at + 3].startswith("3 steps: 3 ran in ")
    assert followed[at + 4] == "Finished"


def test_the_program_reads_what_was_made(desk: Desk, followed: list[str]) -> None:
    """Metrics of the run and its steps, a named output, an image, all logs, the model."""
    at = followed.index("Finished")
    assert followed[at + 1] == (
        "pipeline {'slope': 1.99} {'team': 'a', 'trained with': '0.2', 'scored': 'yes'}"
    )
    assert followed[at + 2].startswith("prepare {'rows': 3, 'columns': ['x', 'y'], 'first': ")
    assert followed[at + 3].startswith("train {'loss': [5.03")
    assert followed[at + 4].startswith("score {'same model': True, 'error': 0.01")
    assert followed[at + 5] == "3 logs"
    (model,) = (desk.folder / "down").rglob("model.txt")
    assert model.read_text() == "1.990"
    assert (desk.folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    (log,) = (desk.folder / "logs" / "train").rglob("*out*.txt")
    assert log.read_text() == "trained ridge ['a fold']\n"


def test_a_terminal_shows_a_table(desk: Desk, followed: list[str]) -> None:
    """It is drawn over and over; here all steps are reused, which the summary counts."""
    ours, theirs = pty.openpty()
    desk = Desk(desk.airflow, desk.folder, {"TERM": "xterm", "COLUMNS": "100", "LINES": "30"})
    shown = b""
    with desk.start("remote/ridge.py", 0.2, stdout=theirs) as process:
        os.close(theirs)
        with suppress(OSError):  # how a terminal says that nobody writes to it any more
            while part := os.read(ours, 4096):
                shown += part
    os.close(ours)
    text = shown.decode().replace("\r\n", "\n")

    assert process.returncode == 0, text
    assert re.search(r"\x1b\[\dA\x1b\[JPipelineRun Status: ", text)
    assert "  train    \x1b[32mReused\x1b[0m                 nothing changed since run" in text
    assert re.search(r"^3 steps: 0 ran in 0.0 s, 3 reused, \d+\.\d s saved$", text, re.MULTILINE)


def test_a_run_that_fails_says_why(desk: Desk, followed: list[str]) -> None:
    """The program's error names the step and the last lines of its script."""
    done = desk.run("remote/ridge.py", -1)

    assert done.returncode == 1
    assert "StepRun( train ) Status: Failed" in done.stdout
    assert "Activity Failed: step 'train': The script train.py of step 'train' ended" in done.stderr
    assert "ValueError: alpha is negative" in done.stderr


def test_a_file_has_two_pipelines(desk: Desk) -> None:
    """Each submit runs the DAG that is called after its experiment, whoever imports the file."""
    for program in (["remote/two.py"], ["-c", "import sys; sys.path[0] = 'remote'; import two"]):
        done = desk.run(*program)

        lines = done.stdout.splitlines()
        assert lines[1::2] == ["Finished", "Finished"], done.stderr
        assert [url.split("/")[4] for url in lines[::2]] == ["remote_two.one", "remote_two.other"]


def test_another_program_ends_a_run(desk: Desk, tmp_path: Path) -> None:
    """No process of it survives, and who waits for it hears Canceled."""
    with desk.start("remote/endless.py", tmp_path) as waiting:
        try:
            assert waiting.stdout is not None
            run_id = waiting.stdout.readline().strip()
            until((tmp_path / "processes").exists)
            family = [psutil.Process(int(pid)) for pid in processes_of(tmp_path)]

            done = desk.run("-c", CANCEL, run_id)

            assert done.stdout.splitlines() == [
                "Running Running",
                "Canceled Canceled ['Canceled', 'Canceled']",
            ], done.stderr
            until(lambda: not any(map(goes_on, family)), END_SECONDS)
            printed, _ = waiting.communicate(timeout=PATIENCE)
        finally:
            waiting.kill()
    assert printed.splitlines()[-3:] == [
        "PipelineRun Status: Canceled",
        "2 steps: 0 ran in 0.0 s, 2 canceled",
        "Canceled",
    ]


def test_what_is_wrong_is_said(desk: Desk, followed: list[str], tmp_path: Path) -> None:
    """Password, address, file, parameter, pause: one sentence each, and what to do."""
    program, url = "remote/endless.py", desk.airflow.url
    assert "does not accept user 'nobody' with this password. Look at AIRFLOW" in desk.says(
        program, tmp_path, AIRFLOW_AML_API_USER="nobody"
    )
    assert "does not accept the token in AIRFLOW_AML_API_TOKEN" in desk.says(
        program, tmp_path, AIRFLOW_AML_API_TOKEN="old"
    )
    shutil.copy(desk.folder / program, desk.folder / "remote" / "elsewhere.py")
    assert f"Airflow at {url} has no DAG of elsewhere.py. Put the same file" in desk.says(
        "remote/elsewhere.py", tmp_path
    )
    broken = desk.airflow.dags_folder / "remote" / "elsewhere.py"
    broken.write_text("from airflow_aml import Pipeline\nraise ValueError('not in Airflow')\n")
    desk.airflow.rest.wait_until("its import error", desk.airflow.rest.import_errors, PATIENCE)
    told = desk.says("remote/elsewhere.py", tmp_path)
    shutil.copy(desk.folder / program, broken)
    desk.airflow.rest.wait_until("its end", lambda: not desk.airflow.rest.import_errors())
    assert "It could not load it: ValueError: not in Airflow. Put the same file" in told
    newer = (REMOTE / "ridge.py").read_text().replace('"alpha"', '"beta"')
    (desk.folder / "remote" / "ridge.py").write_text(newer)
    assert "has no parameter 'beta'. Airflow has another version of this file" in desk.says(
        "remote/ridge.py", 1
    )
    script = desk.folder / "remote" / "steps" / "endless.py"
    text = script.read_text()
    script.write_text(text + "print('edited here only')\n")
    done = desk.run(program, tmp_path)
    script.write_text(text)
    assert "file 'steps/endless.py' differs. Copy its file" in done.stderr
    with paused(desk, "remote_endless"):
        assert "is paused, so that no run of it would begin. Switch it on there" in desk.says(
            program, tmp_path
        )


def test_a_lost_answer_starts_no_second_run(desk: Desk, tmp_path: Path) -> None:
    """The call that starts a run is repeated when its answer is lost; the run is the same."""
    before = len(desk.airflow.rest.dag_runs("remote_endless"))
    with forgetful(desk.airflow.url, b"POST /api/v2/dags/remote_endless/dagRuns") as (url, lost):
        through = Desk(desk.airflow, desk.folder, {"AIRFLOW_AML_API_URL": url})
        with through.start("remote/endless.py", tmp_path) as waiting:
            assert waiting.stdout is not None
            run_id = waiting.stdout.readline().strip()
            waiting.kill()
    assert len(lost) == 1
    assert len(desk.airflow.rest.dag_runs("remote_endless")) == before + 1
    assert "Canceled Canceled" in desk.run("-c", CANCEL, run_id).stdout


def until(found: Any, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def processes_of(notes: Path) -> list[str]:
    return (notes / "processes").read_text().split()


def goes_on(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@contextmanager
def paused(desk: Desk, dag_id: str) -> Iterator[None]:
    rest = Rest(desk.airflow.url, "", desk.airflow.user, desk.airflow.password)
    rest.call("PATCH", "dags", dag_id, body={"is_paused": True})
    try:
        yield
    finally:
        rest.call("PATCH", "dags", dag_id, body={"is_paused": False})


@contextmanager
def forgetful(url: str, call: bytes) -> Iterator[tuple[str, list[bytes]]]:
    """A way to a server on which the answer to the first such call gets lost."""
    lost: list[bytes] = []
    server = socket.create_server(("127.0.0.1", 0))
    target = urlsplit(url)

    def serve(near: socket.socket) -> None:
        address = (target.hostname, target.port)
        with near, socket.create_connection(address) as far, suppress(OSError):
            forget = False
            while True:
                ready, _, _ = select.select([near, far], [], [])
                if near in ready:
                    data = near.recv(65536)
                    if data.startswith(call) and not lost:
                        lost.append(data)
                        forget = True
                    far.sendall(data)
                else:
                    data = far.recv(65536)
                    if not forget:
                        near.sendall(data)
                if not data or (forget and far in ready):
                    return

    def accept() -> None:
        with suppress(OSError):
            while True:
                near, _ = server.accept()
                threading.Thread(target=serve, args=(near,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}", lost
