"""What a change touches: the rows of docs/reuse.md, on a real pipeline whose scripts really run.

Decisions are those of a run's first task and of its steps; only Airflow is left out, which
tests/airflow/test_reuse_runs.py has. Every test runs the pipeline, changes one thing, and looks at
what runs then.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from airflow_aml.definition.loading import load_file
from airflow_aml.definition.registered import save_definitions
from airflow_aml.definition.values import resolve
from airflow_aml.reuse.facts import RunFacts, walk_steps
from airflow_aml.reuse.fingerprint import complete
from airflow_aml.reuse.index import Index
from airflow_aml.reuse.lookup import decide, decide_one
from airflow_aml.reuse.places import Places, stamp
from airflow_aml.reuse.records import OutputRecord, StepRecord, now
from airflow_aml.reuse.walk import DEPENDS, RUN, Decision
from airflow_aml.workspace import layout, manifests, snapshots
from airflow_aml.workspace.home import Home

PIPELINE = """
    from airflow_aml import Dataset, OutputFileDatasetConfig, Pipeline, PipelineParameter
    from airflow_aml import PythonScriptStep, ReusePolicy, RunConfiguration
    rate = PipelineParameter("rate", 1)
    raw = Dataset.File.from_files("data/raw.txt").as_named_input("raw").as_mount()
    a, b, c = (OutputFileDatasetConfig(name) for name in "abc")
    def step(name, *arguments, **more):
        return PythonScriptStep(
            name + ".py", name=name, source_directory=name, arguments=arguments, **more)
    prepare = step("prepare", "--in", raw, "--out", a)
    train = step("train", "--in", a.as_input("data"), "--rate", rate, "--out", b)
    report = step("report", "--in", b.as_input("model"), "--out", c)
    pipeline = Pipeline("ws", [report])
"""

SCRIPT = """
    import argparse, os, helper
    parser = argparse.ArgumentParser()
    for name in ("--in", "--out", "--rate"):
        parser.add_argument(name)
    args, _ = parser.parse_known_args()
    place = getattr(args, "in")
    place = os.path.join(place, "text.txt") if os.path.isdir(place) else place
    with open(place) as stream, open(os.path.join(args.out, "text.txt"), "w") as out:
        out.write(helper.change(stream.read()) + " %s" % args.rate)
"""
HELPER = "def change(text):\n    return text.strip()\n"
STEPS = ("prepare", "train", "report")
NOTHING = ["reused", "reused", "reused"]


@dataclass
class Did:
    """What one run did: ``ran`` or ``reused`` and why, by step."""

    words: dict[str, str]
    reasons: dict[str, str]
    outputs: dict[str, Path]

    @property
    def steps(self) -> list[str]:
        return list(self.words.values())


class Project:
    """A folder with a pipeline, and runs of it in a workspace."""

    def __init__(self, folder: Path, home: Home) -> None:
        self.folder = folder
        self.home = home
        self.runs = 0
        self.first = Did({}, {}, {})
        self.places: dict[str, str] = {}

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(textwrap.dedent(text).lstrip().encode())
        return path

    def edit(self, old: str, new: str, name: str = "p.py") -> None:
        text = (self.folder / name).read_text()
        assert old in text
        (self.folder / name).write_bytes(text.replace(old, new).encode())

    def run(self, verify: str = "stamp", regenerate: bool = False, **given: Any) -> Did:
        """A whole run: the first task decides, then each step that is left."""
        self.runs += 1
        ((dag_id, declared),) = load_file(str(self.folder / "p.py")).declared()
        spec, folder = declared.pipeline.spec, declared.pipeline.folder
        taken = {
            each: snapshots.take(Path(folder, each), self.home).digest
            for each in {node.source_directory for node in spec.nodes}
        }
        values = resolve(spec.parameters, given)
        pinned = save_definitions(spec, self.home, folder)
        facts = RunFacts(self.home, folder, taken, values, pinned, dag_id)
        steps = walk_steps(spec, facts)
        first = decide(self.home, dag_id, steps, regenerate=regenerate, verify=verify)
        done = Did({}, {}, {})
        known: dict[str, dict[str, str]] = {}
        for step, node in zip(steps, spec.nodes, strict=True):
            decision = first[step.id]
            if regenerate:
                decision = Decision(RUN, decision.reason, complete(step.key, known))
            elif decision.decision == DEPENDS:
                decision = decide_one(self.home, dag_id, step, known)
            record = decision.record or self._execute(node, decision, values, pinned, known, folder)
            done.words[node.name] = "reused" if decision.record else "ran"
            done.reasons[node.name] = decision.reason
            known[step.id] = record.digests
            for output in record.outputs.values():
                done.outputs[node.name] = Path(output.uri[len("file://") :])
        return done

    def _execute(self, node, decision, values, pinned, known, folder) -> StepRecord:
        fingerprint = decision.fingerprint
        run_id = layout.pipeline_run_id(self.home.uuid, "p", f"run-{self.runs}")
        step_run = layout.step_run_id(run_id, node.id)
        words = []
        places = {}
        for argument in node.arguments:
            if argument.kind == "text":
                words.append(argument.value)
            elif argument.kind == "parameter":
                words.append(str(values[argument.name]))
            elif argument.kind == "output":
                places[argument.name] = self.home.path(layout.data(step_run, argument.name))
                places[argument.name].mkdir(parents=True)
                words.append(str(places[argument.name]))
            else:
                (port,) = (each for each in node.inputs if each.name == argument.name)
                if port.source.kind == "step_output":
                    words.append(self.places[known[port.source.node][port.source.output]])
                else:
                    place, *_ = pinned[node.id][argument.name].places
                    words.append(place.path)
        source = Path(folder, node.source_directory)
        subprocess.run(
            [sys.executable, "-B", "-S", node.script_name, *words], cwd=source, check=True
        )
        record = StepRecord(
            fingerprint.digest,
            fingerprint.record,
            {name: self._output(place) for name, place in places.items()},
            pipeline_run_id=run_id,
            step_run_id=step_run,
            dag_id="p",
            task_id=node.id,
            run_id=f"run-{self.runs}",
            step=node.name,
            seconds=1.0,
            created=now(),
        )
        Index(self.home).add(record)
        return record

    def _output(self, place: Path) -> OutputRecord:
        manifest = manifests.build(place)
        uri = place.as_uri()
        self.places[manifest.digest] = str(place)
        return OutputRecord(uri, manifest.digest, 1, manifest.bytes, stamp(uri, Places(self.home)))


@pytest.fixture
def project(tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Three steps in a chain, an input file and a parameter, run once."""
    monkeypatch.setenv("AIRFLOW_AML_CACHE", str(tmp_path / "cache"))
    made = Project(tmp_path / "project", home)
    made.write("p.py", PIPELINE)
    made.write("data/raw.txt", "some data")
    for name in STEPS:
        made.write(f"{name}/{name}.py", SCRIPT)
        made.write(f"{name}/helper.py", HELPER)
    made.write("train/.amlignore", "*.ipynb\n")
    made.first = made.run()
    assert made.first.steps == ["ran", "ran", "ran"]
    return made


def keeping_times(path: Path, text: str) -> None:
    """Writes other bytes of the same length and puts the mtime back, as some tools do."""
    before = path.stat()
    path.write_text(text)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


def test_nothing(project: Project) -> None:
    """Nothing changed: nothing runs, and the reason says whose result it is."""
    second = project.run()
    assert second.steps == NOTHING
    assert second.reasons["train"] == "nothing changed since run 'run-1' of 'p'"


def test_script(project: Project) -> None:
    """A changed script runs, and so does what reads its new bytes."""
    project.edit('" %s"', '" at %s"', "train/train.py")
    second = project.run()
    assert second.steps == ["reused", "ran", "ran"]
    assert second.reasons["train"] == "train.py changed"
    assert "input 'model' changed" in second.reasons["report"]


def test_comment(project: Project) -> None:
    """A script that writes the same bytes as before lets everything below it rest."""
    project.edit("import argparse", "# a comment\nimport argparse", "prepare/prepare.py")
    second = project.run()
    assert second.steps == ["ran", "reused", "reused"]
    assert second.reasons["prepare"] == "prepare.py changed"


def test_helper_module(project: Project) -> None:
    """Every file of the source folder counts, imported or not."""
    project.edit("strip()", "strip().upper()", "train/helper.py")
    second = project.run()
    assert second.steps == ["reused", "ran", "ran"]
    assert second.reasons["train"] == "helper.py changed"


def test_ignored_file(project: Project) -> None:
    """What .amlignore names does not count."""
    project.write("train/notes.ipynb", "{}")
    assert project.run().steps == NOTHING


def test_litter(project: Project) -> None:
    """Bytecode, editors' files and version control never count."""
    project.write("train/__pycache__/helper.cpython-311.pyc", "x")
    project.write("train/.git/HEAD", "ref")
    project.write("train/train.py~", "old")
    project.write("train/.train.py.swp", "open")
    project.write("train/.DS_Store", "x")
    assert project.run().steps == NOTHING


def test_parameter(project: Project) -> None:
    """Another value runs the steps that use it; the old value finds its old result."""
    second = project.run(rate=2)
    assert second.steps == ["reused", "ran", "ran"]
    assert second.reasons["train"] == "parameter 'rate' changed from 1 to 2"
    assert project.run(rate=1).steps == NOTHING


def test_argument_order(project: Project) -> None:
    """argv is what the script sees, so its order counts."""
    project.edit('"--rate", rate, "--out", b', '"--out", b, "--rate", rate')
    second = project.run()
    assert second.steps == ["reused", "ran", "reused"]
    assert second.reasons["train"] == "the order of the arguments changed"


def test_input_content(project: Project) -> None:
    """The content of an input counts."""
    project.write("data/raw.txt", "other data")
    second = project.run()
    assert second.steps == ["ran", "ran", "ran"]
    assert second.reasons["prepare"] == "input 'raw' changed: 1 file (raw.txt)"


def test_input_of_several_paths(project: Project) -> None:
    """Of a list with a pattern and a folder in it the reason names the file, too."""
    project.write("data/more/days/one.csv", "1")
    project.write("data/two.csv", "2")
    project.edit('from_files("data/raw.txt")', 'from_files(["data/*.csv", "data/more"])')
    project.edit('"prepare", "--in", raw', '"prepare", raw, "--in", "prepare.py"')
    assert project.run().steps[0] == "ran"
    assert project.run().steps == NOTHING
    project.write("data/more/days/one.csv", "other")
    second = project.run()
    assert second.reasons["prepare"] == "input 'raw' changed: 1 file (more/days/one.csv)"
    project.write("data/three.csv", "3")
    assert project.run().reasons["prepare"] == "input 'raw' changed: 1 file (three.csv added)"


def test_touch(project: Project) -> None:
    """Times and modes are no content."""
    for name in ("data/raw.txt", "train/train.py"):
        os.utime(project.folder / name, (1, 1))
        (project.folder / name).chmod(0o600)
    assert project.run().steps == NOTHING


def test_same_size_and_mtime(project: Project) -> None:
    """Other bytes are noticed although size and mtime are as they were: ctime tells."""
    time.sleep(0.15)
    assert project.run().steps == NOTHING  # by now the cache knows these files
    keeping_times(project.folder / "data" / "raw.txt", "SOME DATA")
    assert project.run().steps == ["ran", "ran", "ran"]
    helper = project.folder / "report" / "helper.py"
    keeping_times(helper, helper.read_text().replace("strip", "lower"))
    assert project.run().steps == ["reused", "reused", "ran"]


def test_file_renamed(project: Project) -> None:
    """Names in a source folder count: scripts import by them."""
    project.write("train/extra.py", "x = 1")
    project.run()
    (project.folder / "train" / "extra.py").rename(project.folder / "train" / "more.py")
    second = project.run()
    assert second.steps == ["reused", "ran", "reused"]
    assert second.reasons["train"] == "more.py was added; extra.py was removed"


def test_input_moved(project: Project) -> None:
    """Where an input's file is does not count; what it holds and what it is called do."""
    project.write("elsewhere/raw.txt", "some data")
    project.edit("data/raw.txt", "elsewhere/raw.txt")
    assert project.run().steps == NOTHING
    project.write("elsewhere/renamed.txt", "some data")
    project.edit("elsewhere/raw.txt", "elsewhere/renamed.txt")
    assert project.run().steps == ["ran", "reused", "reused"]


def test_deleted_output(project: Project) -> None:
    """An output that is gone is made again; what is below rests, as its bytes are the same."""
    shutil.rmtree(project.first.outputs["train"])
    second = project.run()
    assert second.steps == ["reused", "ran", "reused"]
    assert second.reasons["train"] == "output 'b' of the earlier result was deleted"


def test_damaged_output(project: Project) -> None:
    """An output that somebody changed is not handed on."""
    path = project.first.outputs["train"] / "text.txt"
    path.chmod(path.stat().st_mode | stat.S_IWUSR)
    path.write_text("something else")
    second = project.run()
    assert second.steps == ["reused", "ran", "reused"]
    assert second.reasons["train"] == "output 'b' of the earlier result changed"


def test_output_tampered_with(project: Project) -> None:
    """With size and mtime put back the time of the inode's change still tells."""
    path = project.first.outputs["train"] / "text.txt"
    path.chmod(path.stat().st_mode | stat.S_IWUSR)
    keeping_times(path, path.read_text().swapcase())
    second = project.run()
    assert second.steps == ["reused", "ran", "reused"]
    assert second.reasons["train"] == "output 'b' of the earlier result changed"


def test_output_with_another_mode(project: Project) -> None:
    """An output whose mode or number of names changed is read once, and used if it is the same."""
    path = project.first.outputs["train"] / "text.txt"
    path.chmod(0o640)
    (project.first.outputs["train"].parent / "link").hardlink_to(path)
    assert project.run().steps == NOTHING


def test_package_version(project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages of the interpreter that runs the scripts count, and the reason names them."""
    (tmp_path / "site" / "pandas-99.0.dist-info").mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path / "site")
    second = project.run()
    assert second.steps == ["ran", "ran", "ran"]
    assert "package pandas changed from " in second.reasons["prepare"]
    assert second.reasons["prepare"].endswith(" to 99.0")


def test_environment_variable(project: Project) -> None:
    """Variables that the author sets count; the reason names them and never shows a value."""
    with_config(project, "config.environment_variables = {'MODE': 'secret-1'}")
    project.run()
    project.edit("secret-1", "secret-2")
    second = project.run()
    assert second.steps == ["reused", "ran", "reused"]
    assert second.reasons["train"] == "environment variable 'MODE' changed"


def test_image(project: Project) -> None:
    """The image that a step asks for counts."""
    with_config(project, "config.environment.docker.base_image = 'python:3.11'")
    project.run()
    project.edit("python:3.11", "python:3.12")
    second = project.run()
    assert second.steps == ["reused", "ran", "reused"]
    assert second.reasons["train"] == "the image that the step asks for changed"


def with_config(project: Project, line: str) -> None:
    """Gives the training step a RunConfiguration."""
    project.edit("prepare = step(", f"config = RunConfiguration()\n{line}\nprepare = step(")
    project.edit('"--out", b)', '"--out", b, runconfig=config)')


def test_step_renamed(project: Project) -> None:
    """A step's name is for people."""
    project.edit("name=name, source", 'name="the " + name, source')
    assert project.run().steps == NOTHING


def test_definition_edited(project: Project) -> None:
    """The file that defines the pipeline is no source of its steps."""
    project.edit("rate = Pipeline", "# tuned by hand\nrate = Pipeline")
    assert project.run().steps == NOTHING


def test_checkout_elsewhere(project: Project, tmp_path: Path) -> None:
    """A copy of the project has the same keys, wherever it is and whenever it was made."""
    shutil.copytree(project.folder, tmp_path / "another" / "checkout", copy_function=shutil.copy)
    project.folder = tmp_path / "another" / "checkout"
    assert project.run().steps == NOTHING


def test_line_endings(project: Project) -> None:
    """Line endings are bytes and count; the reason says that nothing else changed."""
    path = project.folder / "train" / "train.py"
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    second = project.run()
    assert second.steps == ["reused", "ran", "reused"]
    assert second.reasons["train"] == "train.py changed (line endings only)"


def test_hash_paths(project: Project) -> None:
    """A file beside the source folder counts where hash_paths names it."""
    project.write("shared/lib.py", "x = 1")
    project.edit('"--out", b)', '"--out", b, hash_paths=["../shared/lib.py"])')
    project.run()
    project.write("shared/lib.py", "x = 2")
    second = project.run()
    assert second.steps == ["reused", "ran", "reused"]
    assert second.reasons["train"] == "../shared/lib.py changed"


def test_compute_name(project: Project) -> None:
    """Which compute a step is sent to does not change what it makes."""
    project.edit('"--out", b)', '"--out", b, compute_target="big-cluster")')
    assert project.run().steps == NOTHING


def test_max_age(project: Project) -> None:
    """A result that is older than the author allows is made anew."""
    project.edit('"--out", b)', '"--out", b, reuse=ReusePolicy(max_age=0.01))')
    time.sleep(0.05)
    second = project.run()
    assert second.steps == ["reused", "ran", "reused"]
    assert "and max_age is" in second.reasons["train"]


def test_ignored_argument(project: Project) -> None:
    """Arguments that the author's policy ignores do not count."""
    project.edit('"--out", b)', '"--out", b, reuse=ReusePolicy(ignore=["rate"]))')
    project.run()
    assert project.run(rate=7).steps == NOTHING


def test_forced_run(project: Project) -> None:
    """A forced run makes everything anew, and later runs reuse that."""
    second = project.run(regenerate=True)
    assert second.steps == ["ran", "ran", "ran"]
    assert second.reasons["train"] == "regenerate_outputs was asked for"
    third = project.run()
    assert third.steps == NOTHING
    assert third.outputs == second.outputs


def test_every_row_of_the_page_is_a_test() -> None:
    """docs/reuse.md names all tests of this file, and no test that is nowhere."""
    tests = Path(__file__).parents[1]
    page = tests.parent / "docs" / "reuse.md"
    named = set(re.findall(r"`(test_\w+)`", page.read_text()))
    here = {name for name in globals() if name.startswith("test_")}
    there = {
        name
        for file in tests.rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE)
    }
    assert named >= here - {"test_every_row_of_the_page_is_a_test"}
    assert named <= there
