"""The pipeline and the step scripts of the contract."""

from __future__ import annotations

from collections.abc import Mapping

PIPELINE = """
# airflow dag
from airflow_aml import *

packages = {packages}

def step(script, *arguments, **others):
    config = RunConfiguration()
    config.environment_variables = {"CONTRACT": "a b=ü", "CONTRACT_PACKAGES": " ".join(packages)}
    if packages:
        config.environment.python.conda_dependencies = CondaDependencies.create(
            pip_packages=packages)
    config.max_run_duration_seconds = others.pop("seconds", None)
    return PythonScriptStep(
        script, name=script[:-3], source_directory="src", arguments=list(arguments),
        runconfig=config, compute_target="place", **others)

given = Dataset.File.from_files("given/**").as_named_input("given").as_mount()
made, half = OutputFileDatasetConfig(name="made"), OutputFileDatasetConfig(name="half")
good = step("good.py", given, made, "a b", "é☃", "--n", 3, "", "$HOME *")
reads = step("reads.py", made.as_input("again"))
steps = {steps}
pipeline = Pipeline(Workspace(), steps)
pipeline.submit("contract", continue_on_step_failure=True)
"""

GOOD_STEPS = 'good, reads, step("big.py")'
BAD_STEPS = (
    'step("fails.py"), step("crashes.py", half), step("slow.py", seconds=5), '
    'step("below.py", half.as_input("half"))'
)
WAITING_STEP = 'step("waits.py", OutputFileDatasetConfig(name="never"))'

SCRIPTS: Mapping[str, str] = {
    "good.py": """
        import importlib.metadata, json, os, sys
        import helper
        from airflow_aml import Run
        from azureml.core import Run as RunOfV1
        given, made = sys.argv[1:3]
        told = {
            "argv": sys.argv[3:],
            "variables": {name: os.environ.get(name) for name in (
                "CONTRACT", "AZUREML_RUN_ID", "AZURE_ML_INPUT_given", "AZURE_ML_OUTPUT_made",
                "AIRFLOW_CONN_SECRET")},
            "packages": {
                name: importlib.metadata.version(name)
                for name in (
                    each.partition("==")[0] for each in os.environ["CONTRACT_PACKAGES"].split())
            },
            "given": given,
            "made": made,
            "helper": helper.VALUE,
            "v1_is_served": RunOfV1 is Run,
            "cwd_is_the_source": os.path.exists("good.py"),
            "scratch": [os.path.isdir(name) for name in ("outputs", "logs")],
            "content": open(os.path.join(given, "deep", "data ü.txt"), encoding="utf-8").read(),
        }
        with open(os.path.join(made, "told ü.json"), "w", encoding="utf-8") as stream:
            json.dump(told, stream)
        with open("outputs/kept.txt", "w") as stream:
            stream.write("kept")
        Run.get_context().log("answer", 42)
        print("out: é☃")
        print("err: é☃", file=sys.stderr)
        sys.stdout.buffer.write(b"not \\xff text\\nno end")
    """,
    "helper.py": "VALUE = 7\n",
    "reads.py": """
        import os, sys
        (name,) = os.listdir(sys.argv[1])
        path = os.path.join(sys.argv[1], name)
        print("read", len(open(path, encoding="utf-8").read()) > 0, name)
    """,
    "big.py": """
        for number in range(20000):
            print(number, "x" * 40)
    """,
    "fails.py": """
        import sys
        print("this went wrong: ü", file=sys.stderr)
        sys.exit(3)
    """,
    "crashes.py": """
        import os, signal, sys
        with open(os.path.join(sys.argv[1], "half.txt"), "w") as stream:
            stream.write("half")
        os.kill(os.getpid(), signal.SIGKILL)
    """,
    "slow.py": """
        import signal, sys, time
        def told(number, frame):
            print("asked to end", flush=True)
            sys.exit(1)
        signal.signal(signal.SIGTERM, told)
        print("slow begins", flush=True)
        time.sleep(60)
    """,
    "below.py": "print('never')\n",
    "waits.py": """
        import os, time
        print("waits as", os.environ["AIRFLOW_AML_ATTEMPT"], flush=True)
        time.sleep(60)
    """,
}
