"""What a step finds wherever it runs (architecture 8), as tests for any compute.

A subclass names the compute, and pytest runs the tests against it::

    from airflow_aml.testing import *

    class TestOurCluster(StepContract):
        compute = {"kind": "docker", "image": "team/train:1"}

Each class runs three pipelines, as ``airflow-aml run`` runs them: one that succeeds, the same again
beside steps that fail, and one that is killed.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest

from airflow_aml.runtime.sweep import living
from airflow_aml.testing.scripts import BAD_STEPS, GOOD_STEPS, PIPELINE, SCRIPTS, WAITING_STEP
from airflow_aml.workspace.home import path_of_uri

_PATIENCE = 60.0


@dataclass(frozen=True)
class Ran:
    """A run that has ended: its steps by name, and the lines of its log."""

    steps: Mapping[str, Mapping[str, Any]]
    lines: Sequence[str] = field(repr=False)

    def said(self, step: str) -> list[str]:
        """What the log has of one step."""
        return [line.partition(" | ")[2] for line in self.lines if line.startswith(f"{step} | ")]

    def told(self, step: str) -> str:
        """The same as one text, with the reason that the run gives."""
        return "\n".join([*self.said(step), str(self.steps[step]["reason"])])


class Laboratory:
    """A folder with the contract's pipelines, and a workspace."""

    def __init__(
        self, folder: Path, compute: Mapping[str, Any], packages: Sequence[str] = ()
    ) -> None:
        self.folder = folder
        self._packages = list(packages)
        for name, text in SCRIPTS.items():
            self._write(f"src/{name}", textwrap.dedent(text))
        self._write("given/deep/data ü.txt", "content é")
        self._environ = {
            **os.environ,
            "AIRFLOW__AML__WORKSPACE": (folder / "workspace").as_uri(),
            "AIRFLOW__AML__SCRATCH": str(folder / "scratch"),
            "AIRFLOW__AML__COMPUTES": json.dumps({"place": dict(compute)}),
            "AIRFLOW_CONN_SECRET": "http://user:password@host",
        }

    @property
    def workspace(self) -> Path:
        """The workspace's folder."""
        return self.folder / "workspace"

    def run(self, steps: str) -> Ran:
        """Runs these steps to their end."""
        done = subprocess.run(
            self._command(steps, "--json"),
            cwd=self.folder,
            env=self._environ,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        try:
            result = json.loads(done.stdout)
        except ValueError:
            raise AssertionError(done.stderr) from None
        lines = done.stderr.splitlines()
        return Ran({step["name"]: step for step in result["steps"]}, lines)

    def start(self, steps: str) -> subprocess.Popen[str]:
        """Begins to run these steps."""
        return subprocess.Popen(
            self._command(steps),
            cwd=self.folder,
            env=self._environ,
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )

    def _command(self, steps: str, *options: str) -> list[str]:
        text = PIPELINE.replace("{steps}", f"[{steps}]")
        self._write("pipeline.py", text.replace("{packages}", repr(self._packages)))
        return [sys.executable, "-m", "airflow_aml.cli", "run", *options, "pipeline.py"]

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture(scope="class")
def laboratory(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Laboratory:
    """The folder of a class's contract."""
    contract = request.cls()
    folder = tmp_path_factory.mktemp("contract")
    return Laboratory(folder, contract.document(), contract.packages)


@pytest.fixture(scope="class")
def good(laboratory: Laboratory) -> Ran:
    """A run of the steps that succeed."""
    return laboratory.run(GOOD_STEPS)


@pytest.fixture(scope="class")
def mixed(laboratory: Laboratory, good: Ran) -> Ran:
    """The same again, with steps that fail."""
    return laboratory.run(f"{GOOD_STEPS}, {BAD_STEPS}")


@pytest.fixture(scope="class")
def told(good: Ran) -> Mapping[str, Any]:
    """What the first step has found, as its output says."""
    assert good.steps["good"]["status"] == "Finished", "\n".join(good.lines)
    folder = Path(path_of_uri(good.steps["good"]["outputs"]["made"]))
    found: Mapping[str, Any] = json.loads((folder / "told ü.json").read_text("utf-8"))
    return found


class StepContract:
    """The tests; a subclass sets :attr:`compute`.

    Attributes:
        compute: the document of the compute, as in ``[aml] computes``.
        packages: what its steps ask for, each as ``name==version``; none: no environment of theirs.
    """

    compute: ClassVar[Mapping[str, Any]] = {}
    packages: ClassVar[Sequence[str]] = ()

    def document(self) -> Mapping[str, Any]:
        """The compute's document, for a subclass that knows it only when the tests run."""
        return self.compute

    def leftovers(self) -> Sequence[str]:
        """What steps have left at the place, for a subclass that can look there."""
        return ()

    def test_arguments_arrive_as_they_were_written(self, told: Mapping[str, Any]) -> None:
        """In order, never joined into a shell's line."""
        assert told["argv"] == ["a b", "é☃", "--n", "3", "", "$HOME *"]

    def test_the_environment_has_v1s_variables_and_no_secrets(
        self, told: Mapping[str, Any]
    ) -> None:
        """The step's own variables, the ports' paths; none of Airflow's connections."""
        variables = told["variables"]
        assert variables["CONTRACT"] == "a b=ü"
        assert variables["AZUREML_RUN_ID"]
        assert variables["AZURE_ML_INPUT_given"] == told["given"]
        assert variables["AZURE_ML_OUTPUT_made"] == told["made"]
        assert variables["AIRFLOW_CONN_SECRET"] is None

    def test_the_packages_that_a_step_asks_for_are_there(self, told: Mapping[str, Any]) -> None:
        """In just the versions that it names."""
        found = [f"{name}=={version}" for name, version in told["packages"].items()]
        assert sorted(found) == sorted(self.packages)

    def test_the_script_runs_in_a_copy_of_its_sources(self, told: Mapping[str, Any]) -> None:
        """It imports what lies beside it; ``outputs`` and ``logs`` are there."""
        assert told["cwd_is_the_source"]
        assert told["helper"] == 7
        assert told["scratch"] == [True, True]

    def test_v1s_imports_work(self, told: Mapping[str, Any]) -> None:
        """``from azureml.core import Run`` is this package's."""
        assert told["v1_is_served"]

    def test_inputs_are_there_and_outputs_are_committed(
        self, told: Mapping[str, Any], good: Ran
    ) -> None:
        """The next step reads what the one before has written."""
        assert told["content"] == "content é"
        assert good.steps["reads"]["status"] == "Finished"
        assert "read True told ü.json" in good.said("reads")

    def test_lines_are_in_the_log_in_any_language(self, told: object, good: Ran) -> None:
        """What is no text is escaped, and a line without an end is not lost."""
        said = good.said("good")
        assert {"out: é☃", "err: é☃", "not \\xff text", "no end"} <= set(said)

    def test_the_record_has_logs_kept_files_and_metrics(
        self, told: object, laboratory: Laboratory
    ) -> None:
        """As every step's."""
        (out,) = _logs(laboratory, "stdoutlogs.txt", b"out: ")
        record = out.parents[3]
        assert (record / "files/outputs/kept.txt").read_text() == "kept"
        assert "no end" in out.read_bytes().decode("utf-8", "replace")
        assert "err: é☃" in (out.parent / "stderrlogs.txt").read_text("utf-8")
        assert '"answer"' in (record / "journal.jsonl").read_text("utf-8")

    def test_big_output_is_whole(self, good: Ran, laboratory: Laboratory) -> None:
        """In the log and in the record."""
        assert good.steps["big"]["status"] == "Finished"
        numbers = [line.split()[0] for line in good.said("big") if line.endswith("xxx")]
        assert numbers == [str(number) for number in range(20000)]
        (out,) = _logs(laboratory, "stdoutlogs.txt", b"0 x")
        assert out.read_bytes().count(b"\n") == 20000

    def test_an_unchanged_step_is_reused(self, told: object, mixed: Ran) -> None:
        """Without a start."""
        for name in ("good", "reads", "big"):
            assert mixed.steps[name]["status"] == "Reused", mixed.steps[name]

    def test_a_failed_script_tells_code_and_last_lines(self, mixed: Ran) -> None:
        """It is not tried again."""
        assert mixed.steps["fails"]["status"] == "Failed"
        told = mixed.told("fails")
        assert "ended with exit code 3" in told
        assert "    this went wrong: ü" in told
        assert mixed.said("fails").count("this went wrong: ü") == 1

    def test_of_a_crash_in_the_middle_nothing_is_used(
        self, mixed: Ran, laboratory: Laboratory
    ) -> None:
        """What was half written is gone, and what is below does not start."""
        assert mixed.steps["crashes"]["status"] == "Failed"
        assert "SIGKILL" in mixed.told("crashes")
        assert mixed.steps["below"]["status"] == "NotStarted"
        assert not list(laboratory.workspace.rglob("half.txt"))

    def test_time_that_is_over_ends_the_step(self, mixed: Ran) -> None:
        """The script is asked to end; ``max_run_duration_seconds`` is told by its name."""
        assert mixed.steps["slow"]["status"] == "Failed"
        assert {"slow begins", "asked to end"} <= set(mixed.said("slow"))
        assert "its max_run_duration_seconds" in mixed.told("slow")

    def test_nothing_is_left(self, mixed: Ran, laboratory: Laboratory) -> None:
        """No process, container, staged file or working copy."""
        assert list(self.leftovers()) == []
        assert not any((laboratory.workspace / "staging").glob("*"))
        assert not any((laboratory.folder / "scratch").glob("*/*"))

    def test_a_run_that_is_ended_ends_its_step(self, laboratory: Laboratory) -> None:
        """Nothing of it goes on."""
        self.kill(laboratory, signal.SIGTERM)

    def kill(self, laboratory: Laboratory, number: int) -> None:
        """Runs a step that waits, sends its run a signal, and sees that all of it ends."""
        run = laboratory.start(WAITING_STEP)
        assert run.stderr is not None
        try:
            seen: list[str] = []
            for line in run.stderr:
                seen.append(line)
                if "waits as " in line:
                    break
            assert "waits as " in seen[-1], "".join(seen)
            attempt = seen[-1].rpartition(" ")[2].strip()
            run.send_signal(number)
            run.stderr.read()
        finally:
            run.kill()
            run.wait()
        deadline = time.monotonic() + _PATIENCE
        while (living(attempt) or self.leftovers()) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert living(attempt) == []
        assert list(self.leftovers()) == []


def _logs(laboratory: Laboratory, name: str, start: bytes) -> list[Path]:
    found = laboratory.workspace.glob(f"runs/*/steps/*/files/logs/azureml/{name}")
    return [path for path in found if path.read_bytes().startswith(start)]
