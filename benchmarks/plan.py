"""`airflow-aml plan` of a pipeline in which nothing changed, against doit on the same graph.

Both commands start Python, read a file that defines the chain, look at its sources and at what its
steps have written, and find nothing to do. The pipeline's records are made without Airflow: a
plan's decisions become executions with real outputs.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.report import Claim, Report

LENGTHS = (3, 20, 100)
ROUNDS = 15

SCRIPT = "import sys\nopen(sys.argv[-1], 'w').write('made')\n"

PIPELINE = """
from airflow_aml import OutputFileDatasetConfig, Pipeline, PythonScriptStep
steps, data = [], None
for number in range({length}):
    read = [] if data is None else ["--read", data.as_input("data")]
    data = OutputFileDatasetConfig("data")
    steps.append(PythonScriptStep(
        "step.py", name=f"s{{number}}", source_directory="src", arguments=[*read, "--out", data]))
pipeline = Pipeline("ws", steps)
"""

DODO = """
def task_chain():
    for number in range({length}):
        read = [] if number == 0 else [f"made/{{number - 1}}/data"]
        yield {{
            "name": f"s{{number}}",
            "file_dep": ["src/step.py", *read],
            "targets": [f"made/{{number}}/data"],
            "actions": [f"mkdir -p made/{{number}} && {python} src/step.py made/{{number}}/data"],
        }}
"""


def run() -> Report:
    """Measures chains of several lengths, the two commands in turns."""
    rows, claims = [], []
    for length in LENGTHS:
        with tempfile.TemporaryDirectory(prefix="airflow-aml-bench-") as folder:
            ours, theirs = measure(Path(folder), length)
        ratio = median(a / b for a, b in zip(ours, theirs, strict=True))
        rows.append(
            (str(length), f"{median(ours):.3f}", f"{median(theirs):.3f}", f"**{ratio:.2f}**")
        )
        claims.append(Claim(f"planning {length} unchanged steps, to doit", 1.2, ratio))
    header = ("steps", "`airflow-aml plan`, s", "`doit`, s", "ratio")
    return Report(header, rows, claims)


def measure(folder: Path, length: int) -> tuple[list[float], list[float]]:
    """Wall seconds of the two commands, in turns after a warm-up of each."""
    (folder / "src").mkdir()
    (folder / "src" / "step.py").write_text(SCRIPT)
    (folder / "chain.py").write_text(PIPELINE.format(length=length))
    (folder / "dodo.py").write_text(DODO.format(length=length, python=sys.executable))
    scripts = Path(sys.executable).parent
    plan = [str(scripts / "airflow-aml"), "plan", "chain.py"]
    doit = [str(scripts / "doit"), "run"]
    timed(doit, folder)
    execute(folder)
    time.sleep(3)  # what was changed just now is read again: by both, but not for long
    pairs = [(timed(plan, folder), timed(doit, folder)) for _ in range(ROUNDS + 2)][2:]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def timed(command: list[str], folder: Path) -> float:
    """Wall seconds of a command that has to succeed."""
    started = time.perf_counter()
    subprocess.run(
        command, cwd=folder, env=environment(folder), stdout=subprocess.DEVNULL, check=True
    )
    return time.perf_counter() - started


def execute(folder: Path) -> None:
    """Leaves the outputs and records of a run of the pipeline, in a process of its own."""
    subprocess.run(
        [sys.executable, "-m", "benchmarks.plan", "chain.py"],
        cwd=folder,
        env={**environment(folder), "PYTHONPATH": str(Path(__file__).resolve().parent.parent)},
        check=True,
    )


def environment(folder: Path) -> dict[str, str]:
    """This one's, with a workspace and a cache of their own and bytecode kept."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {
        **kept,
        "AIRFLOW__AML__WORKSPACE": str(folder / "workspace"),
        "AIRFLOW_AML_CACHE": str(folder / "cache"),
    }


def leave_results(path: str) -> None:
    """Carries out a plan step by step: an output and a record for each."""
    from airflow_aml.cli.files import one_pipeline
    from airflow_aml.definition.loading import load_file
    from airflow_aml.reuse.facts import RunFacts, walk_steps
    from airflow_aml.reuse.fingerprint import complete
    from airflow_aml.reuse.index import Index
    from airflow_aml.reuse.places import Places, stamp
    from airflow_aml.reuse.records import OutputRecord, StepRecord, now
    from airflow_aml.workspace import layout, manifests, snapshots
    from airflow_aml.workspace.home import default_url, open_home

    dag_id, declaration = one_pipeline(load_file(path), None)
    spec, folder = declaration.pipeline.spec, declaration.pipeline.folder
    home = open_home(default_url(os.environ))
    taken = {
        each: snapshots.take(Path(folder, each), home).digest
        for each in {node.source_directory for node in spec.nodes}
    }
    run_id = layout.pipeline_run_id(home.uuid, dag_id, "bench")
    known: dict[str, dict[str, str]] = {}
    for step in walk_steps(spec, RunFacts(home, folder, taken, {}, {}, dag_id)):
        fingerprint = complete(step.key, known)
        step_run = layout.step_run_id(run_id, step.id)
        place = home.path(layout.data(step_run, "data"))
        place.mkdir(parents=True)
        (place / "part").write_text(step.id)
        uri, manifest = home.uri(layout.data(step_run, "data")), manifests.build(place)
        output = OutputRecord(uri, manifest.digest, 1, manifest.bytes, stamp(uri, Places(home)))
        known[step.id] = {"data": manifest.digest}
        Index(home).add(
            StepRecord(
                fingerprint.digest,
                fingerprint.record,
                {"data": output},
                pipeline_run_id=run_id,
                step_run_id=step_run,
                dag_id=dag_id,
                task_id=step.id,
                run_id="bench",
                step=step.name,
                seconds=1.0,
                created=now(),
            )
        )


if __name__ == "__main__":
    leave_results(sys.argv[1])
