"""Real faults on a real Airflow: what is killed ends, what is lost runs again, nothing is torn."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psutil
import pytest

from scripts.airflow_processes import is_alive
from scripts.local_airflow import LocalAirflow

FAULTS = Path(__file__).parent / "faults"
FAMILY = ("script", "child", "daemon")
RELAY = {"write": "letter", "read": "copy"}
PATIENCE = 400  # of a loaded machine
END_SECONDS = 20


@dataclass
class FaultRun:
    """One run of one of the pipelines in ``faults``, and what its script noted."""

    airflow: LocalAirflow
    dag_id: str
    run_id: str
    notes: Path

    def end(self) -> str:
        return str(self.airflow.rest.wait(self.dag_id, self.run_id, timeout=PATIENCE)["state"])

    def task(self, task_id: str = "act") -> dict[str, Any]:
        return self.airflow.rest.task_instance(self.dag_id, self.run_id, task_id)

    def log(self, attempt: int = 1, task_id: str = "act") -> str:
        return self.airflow.rest.task_log(self.dag_id, self.run_id, task_id, attempt)

    def log_file(self) -> Path:
        """Where the log of the task's first try is; reading it spares the API server the work."""
        folder = self.airflow.home.path / "logs" / "tasks" / f"dag_id={self.dag_id}"
        return folder / f"run_id={self.run_id}" / "task_id=act" / "attempt=1.log"

    def note(self, name: str) -> str:
        return (self.notes / name).read_text()

    def output(self, task_id: str, name: str) -> Path:
        uri = self.airflow.rest.xcoms(self.dag_id, self.run_id, task_id)[name]["uri"]
        return Path(unquote(urlsplit(uri).path))

    def family(self) -> list[psutil.Process]:
        """The script, its child and its daemon, once all of them are there."""

        def complete() -> bool:
            return all((self.notes / f"{role}.pid").exists() for role in FAMILY)

        self.airflow.rest.wait_until(f"the family of {self.dag_id}", complete, PATIENCE)
        return [psutil.Process(int(self.note(f"{role}.pid"))) for role in FAMILY]

    def above(self) -> list[psutil.Process]:
        """Airflow's task process and its supervisor, and the shell that watches the former."""
        task, supervisor = psutil.Process(int(self.note("script.pid"))).parents()[:2]
        (watcher,) = [each for each in task.children() if "airflow_aml.watcher" in each.cmdline()]
        assert " ".join(supervisor.cmdline()).startswith("airflow worker -- LocalExecutor")
        return [watcher, task, supervisor]

    def nothing_is_left(self) -> bool:
        """Whether the folders that the hanging attempt used are gone."""
        return not Path(self.note("cwd")).parent.exists() and not (
            Path(self.note("staging")).parent.exists()
        )

    def committed(self) -> list[str]:
        """The files of everything that the run's step ever committed."""
        place = self.airflow.home.workspace / "data" / self.note("step-run")
        files = (path.relative_to(place) for path in place.rglob("*") if path.is_file())
        return sorted(str(path) for path in files if not path.name.endswith(".manifest.json"))


class Faults:
    """Starts runs of the pipelines in ``faults``."""

    def __init__(self, airflow: LocalAirflow, notes: Path) -> None:
        self._airflow = airflow
        self._notes = notes

    def start(self, name: str, run: str = "", **conf: str) -> FaultRun:
        notes = self._notes / f"{name}-{run}"
        notes.mkdir()
        dag_id = f"faults_{name}"
        if not name.startswith("relay"):
            conf["notes"] = str(notes)
        rest = self._airflow.rest
        run_id = rest.trigger(dag_id, conf)
        # One after the other: many at once can lock Airflow's SQLite for longer than it waits.
        rest.wait_until(f"{dag_id} to begin", lambda: self._has_begun(dag_id, run_id), PATIENCE)
        return FaultRun(self._airflow, dag_id, run_id, notes)

    def _has_begun(self, dag_id: str, run_id: str) -> bool:
        tasks = self._airflow.rest.task_instances(dag_id, run_id)
        return any(task["state"] == "success" for task in tasks)


STARTED = {
    "print_lines": "print_lines",
    "task marked": "hang",
    "run marked": "stubborn",
    "task lost": "recover",
    "supervisor lost": "recover",
    "supervisor and task lost": "recover",
    "watcher and task lost": "recover",
    "limited": "hang_limited",
    "shoot": "shoot",
    "print_bytes": "print_bytes",
    "wait": "wait",
    "relay 1": "relay",
    "relay 2": "relay",
}
STRIKES = {
    "task marked": ("mark", "task"),
    "run marked": ("mark", "run"),
    "task lost": ("kill", "task"),
    "supervisor lost": ("kill", "supervisor"),
    "supervisor and task lost": ("kill", "supervisor and task"),
    "watcher and task lost": ("kill", "watcher and task"),
}


@pytest.fixture(scope="module")
def faults(airflow: LocalAirflow, tmp_path_factory: pytest.TempPathFactory) -> Faults:
    """The pipelines, once Airflow knows them all."""
    shutil.copytree(FAULTS, airflow.dags_folder / "faults")
    wanted = set(re.findall(r'"(faults_\w+)"', (FAULTS / "pipelines.py").read_text()))
    for dag_id in wanted:
        airflow.rest.wait_for_dag(dag_id)
    return Faults(airflow, tmp_path_factory.mktemp("notes"))


@pytest.fixture(scope="module")
def runs(airflow: LocalAirflow, faults: Faults) -> dict[str, FaultRun]:
    """Runs that go on side by side; each test takes its own."""
    airflow.rest.unpause("faults_%")
    return {
        key: faults.start(name, key, **({"text": key} if name == "relay" else {}))
        for key, name in STARTED.items()
    }


@pytest.fixture(scope="module")
def strikes(runs: dict[str, FaultRun]) -> Iterator[dict[str, Future[float]]]:
    """Everything that is done to running steps, done at once: the seconds until they were gone."""
    with ThreadPoolExecutor(len(STRIKES)) as pool:
        yield {
            key: pool.submit(strike, runs[key], deed, target)
            for key, (deed, target) in STRIKES.items()
        }


def strike(run: FaultRun, deed: str, target: str) -> float:
    """Marks the run or kills processes around its script, and waits until nothing of it is left."""
    family = run.family()
    above = dict(zip(("watcher", "task", "supervisor"), run.above(), strict=True))
    if deed == "kill":
        for name in target.split(" and "):
            above[name].kill()
    else:
        if target == "task":
            run.airflow.rest.mark_task(run.dag_id, run.run_id, "act", "failed")
        run.airflow.rest.mark_run(run.dag_id, run.run_id, "failed")
    started = time.monotonic()
    processes = [*family, above["watcher"], above["task"]]
    # Where nobody is left who could end the script, the next try does it.
    patience = PATIENCE if target == "watcher and task" else END_SECONDS
    run.airflow.rest.wait_until(
        f"the end of {processes}", lambda: not any(map(is_alive, processes)), patience
    )
    seconds = time.monotonic() - started
    run.airflow.rest.wait_until("the folders to go", run.nothing_is_left, 10)
    assert "half.txt" not in " ".join(run.committed())
    return seconds


@pytest.mark.parametrize("what", ["task", "run"])
def test_marking_failed_ends_everything(
    runs: dict[str, FaultRun], strikes: dict[str, Future[float]], what: str
) -> None:
    """A step whose task or run is marked failed in Airflow ends with all of its processes."""
    run = runs[f"{what} marked"]

    print(f"\ngone after {strikes[f'{what} marked'].result():.1f} s")

    assert run.end() == "failed"
    assert run.task()["state"] == "failed"
    assert run.task()["try_number"] == 1
    assert run.committed() == []


@pytest.mark.parametrize("what", ["task", "supervisor", "supervisor and task", "watcher and task"])
def test_lost_step_is_tried_again(
    runs: dict[str, FaultRun], strikes: dict[str, Future[float]], what: str
) -> None:
    """After kill -9 around a script all of the step ends; only a second try's output is seen."""
    run = runs[f"{what} lost"]

    print(f"\ngone after {strikes[f'{what} lost'].result():.1f} s")

    assert run.end() == "success"
    assert run.task()["try_number"] == 2
    assert run.committed() == ["out/whole.txt"]
    assert [path.name for path in run.output("act", "out").iterdir()] == ["whole.txt"]


def test_time_limit(runs: dict[str, FaultRun]) -> None:
    """max_run_duration_seconds ends the step and all of its processes; the task says so."""
    run = runs["limited"]

    assert run.end() == "failed"

    assert not any(map(psutil.pid_exists, [int(run.note(f"{role}.pid")) for role in FAMILY]))
    assert run.nothing_is_left()
    assert run.committed() == []
    assert run.task()["try_number"] == 1
    assert "step 'act' was ended after 4 s, its max_run_duration_seconds." in run.log()


def test_killed_script_fails_at_once(runs: dict[str, FaultRun]) -> None:
    """A script that is killed fails without another try; the message names the signal."""
    run = runs["shoot"]

    assert run.end() == "failed"

    assert run.task()["try_number"] == 1
    assert len(list(run.notes.glob("try-*"))) == 1
    assert "The script shoot.py of step 'act' was ended by SIGKILL." in run.log()


def test_lines_are_seen_while_the_script_runs(runs: dict[str, FaultRun]) -> None:
    """What a script printed stands in the task's log before the script ends."""
    run = runs["wait"]
    run.airflow.rest.wait_until(
        "the script's line", lambda: "can you hear me?" in run.log(), PATIENCE
    )

    assert run.task()["state"] == "running"

    (run.notes / "heard").touch()
    assert run.end() == "success"


def test_output_that_is_no_text(runs: dict[str, FaultRun]) -> None:
    """Bytes that are not UTF-8 and a line of a million characters arrive, and do no harm."""
    run = runs["print_bytes"]

    assert run.end() == "success"

    log = run.log()
    assert r"caf\xe9 \xff\xfe and café" in log
    assert r"\xe2\x82x" in log
    assert sum(len(line) for line in log.splitlines() if line.endswith("xxx")) >= 1_000_000


def test_every_line_arrives_in_order(runs: dict[str, FaultRun]) -> None:
    """100,000 lines of a script are 100,000 lines of the task's log."""
    run = runs["print_lines"]

    assert run.end() == "success"

    # The supervisor writes what it has received, also when the task has ended meanwhile.
    last = "line 99999 of many"
    wait = run.airflow.rest.wait_until
    wait("the last line", lambda: last in run.log_file().read_text(), PATIENCE)
    events = (json.loads(line)["event"] for line in run.log_file().read_text().splitlines())
    assert [line for line in events if line.endswith(" of many")] == [
        f"line {number} of many" for number in range(100_000)
    ]
    # A BashOperator takes as long: Airflow's supervisor needs 0.2 ms of a processor for a line.
    seconds = run.task()["duration"]
    print(f"\n100,000 lines in {seconds:.0f} s")
    assert seconds < PATIENCE


def test_two_runs_at_once(runs: dict[str, FaultRun]) -> None:
    """Two runs of one pipeline do not get into each other's way."""
    pair = [runs["relay 1"], runs["relay 2"]]

    assert [run.end() for run in pair] == ["success", "success"]

    places = [run.output(task, name) for run in pair for task, name in RELAY.items()]
    assert len(set(places)) == 4
    for run, text in zip(pair, ["relay 1", "relay 2"], strict=True):
        assert (run.output("read", "copy") / "copy.txt").read_text().startswith(f"{text} ")


def test_rendered_command(runs: dict[str, FaultRun]) -> None:
    """Airflow shows the command line that ran: the parameter's value and the input's path."""
    run = runs["relay 1"]
    assert run.end() == "success"

    write, read = (shlex.split(run.task(t)["rendered_fields"]["command"]) for t in RELAY)

    assert write[:4] == ["python", "write.py", "--text", "relay 1"]
    assert read[:4] == ["python", "read.py", "--letter", str(run.output("write", "letter"))]


def test_cleared_step_runs_again(runs: dict[str, FaultRun]) -> None:
    """Clearing makes a new output beside the old one, and what comes after it reads the new one."""
    run = runs["relay 2"]
    assert run.end() == "success"
    before = {task: run.output(task, name) for task, name in RELAY.items()}
    old = {path: path.read_bytes() for folder in before.values() for path in folder.iterdir()}

    run.airflow.rest.clear(run.dag_id, run.run_id, "write")
    assert run.end() == "success"

    after = {task: run.output(task, name) for task, name in RELAY.items()}
    assert {path: path.read_bytes() for path in old} == old
    assert not set(before.values()) & set(after.values())
    letter = (after["write"] / "letter.txt").read_text()
    assert (after["read"] / "copy.txt").read_text() == letter
    assert letter != (before["write"] / "letter.txt").read_text()
    assert [run.task(task)["try_number"] for task in RELAY] == [2, 2]
