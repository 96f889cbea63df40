"""What importing the package costs: in a bare interpreter, and on top of Airflow's own imports.

CPU seconds in fresh processes, from compiled bytecode, so that other work on the machine matters
little.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from benchmarks.report import Claim, Report

ROUNDS = 5

BARE = "pass"

NAMES = """
import sys
import airflow_aml
for name in airflow_aml.__all__:
    if not name.endswith("Operator"):
        getattr(airflow_aml, name)
assert "airflow" not in sys.modules
"""

FILE = """
# airflow dag
from airflow_aml import OutputFileDatasetConfig, Pipeline, PipelineParameter, PythonScriptStep
rate = PipelineParameter("rate", 0.1)
data, model = OutputFileDatasetConfig("data"), OutputFileDatasetConfig("model")
prepare = PythonScriptStep("prepare.py", source_directory="src", arguments=["--out", data])
train = PythonScriptStep(
    "train.py", source_directory="src",
    arguments=["--data", data.as_input("data"), "--rate", rate, "--model", model])
check = PythonScriptStep(
    "check.py", source_directory="src", arguments=["--model", model.as_input("model")])
dag = Pipeline("ws", [prepare, train, check]).to_dag()
"""

TIMED = """
import time
import airflow.sdk
before, whole = time.process_time(), time.process_time
exec(compile(open({path!r}).read(), {path!r}, "exec"))
print(before, whole() - before, len(dag.tasks))
"""


def run() -> Report:
    """Measures both."""
    with tempfile.TemporaryDirectory(prefix="airflow-aml-bench-") as folder:
        bare, names = measure_names(folder)
        sdk, file = measure_file(folder)
    added = median(ours - theirs for ours, theirs in zip(names, bare, strict=True))
    return Report(
        ("program", "CPU, ms"),
        [
            ("bare Python", f"{median(bare):.0f}"),
            ("`import airflow_aml` and every name of it", f"{median(names):.0f}"),
            ("`import airflow.sdk`", f"{median(sdk):.0f}"),
            ("a file with a pipeline of three steps, after that", f"{median(file):.0f}"),
        ],
        [
            Claim("`import airflow_aml`, more than bare Python", 100, added, " ms"),
            Claim("a dropped file, more than `import airflow.sdk`", 150, median(file), " ms"),
        ],
    )


def measure_names(folder: str) -> tuple[list[float], list[float]]:
    """Milliseconds of bare Python and of the package's names, in turns after a warm-up."""
    pairs = [(cpu(BARE, folder), cpu(NAMES, folder)) for _ in range(ROUNDS + 1)][1:]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]


def measure_file(folder: str) -> tuple[list[float], list[float]]:
    """Milliseconds of ``airflow.sdk`` and of a file after it.

    Both by the process's own clock: they differ by more from run to run than the file takes.
    """
    path = Path(folder, "pipeline.py")
    path.write_text(FILE)
    Path(folder, "src").mkdir()
    for name in ("prepare", "train", "check"):
        Path(folder, "src", f"{name}.py").touch()
    sdk, file = [], []
    for number in range(ROUNDS + 1):
        before, added, tasks = output(TIMED.format(path=str(path)), folder).split()[-3:]
        assert tasks == "4", tasks
        if number:  # the first one compiles
            sdk.append(float(before) * 1e3)
            file.append(float(added) * 1e3)
    return sdk, file


def cpu(program: str, folder: str) -> float:
    """Milliseconds of user and system time that a fresh Python takes for a program."""
    process = subprocess.Popen([sys.executable, "-c", program], env=environment(folder))
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return (usage.ru_utime + usage.ru_stime) * 1e3


def output(program: str, folder: str) -> str:
    """What a fresh Python prints."""
    command = [sys.executable, "-c", program]
    return subprocess.run(
        command, env=environment(folder), stdout=subprocess.PIPE, text=True, check=True
    ).stdout


def environment(folder: str) -> dict[str, str]:
    """This one's, with an Airflow home of its own and bytecode kept."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("AIRFLOW") and name != "PYTHONDONTWRITEBYTECODE"
    }
    return {
        **kept,
        "AIRFLOW_HOME": str(Path(folder, "home")),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
