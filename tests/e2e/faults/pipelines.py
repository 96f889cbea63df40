"""Pipelines whose steps misbehave; ``notes`` is a folder in which a run's script says what it did.

Airflow lists each of them as a DAG.
"""

from airflow_aml import (
    OutputFileDatasetConfig,
    Pipeline,
    PipelineParameter,
    PythonScriptStep,
    RunConfiguration,
    Workspace,
)

ws = Workspace.from_config()


def pipeline_of_one(script, runconfig=None):
    """A pipeline with one step that writes one output."""
    step = PythonScriptStep(
        name="act",
        script_name=f"{script}.py",
        arguments=[
            "--notes", PipelineParameter("notes", ""),
            "--out", OutputFileDatasetConfig("out"),
        ],
        source_directory="steps",
        runconfig=runconfig,
    )  # fmt: skip
    return Pipeline(workspace=ws, steps=[step])


def relay():
    """A step that writes a line of its own, and one that reads it."""
    text = PipelineParameter("text", "nothing")
    letter, copy = OutputFileDatasetConfig("letter"), OutputFileDatasetConfig("copy")
    write = PythonScriptStep(
        name="write",
        script_name="write.py",
        arguments=["--text", text, "--out", letter],
        source_directory="steps",
    )
    read = PythonScriptStep(
        name="read",
        script_name="read.py",
        arguments=["--letter", letter.as_input("letter"), "--out", copy],
        source_directory="steps",
    )
    return Pipeline(workspace=ws, steps=[write, read])


limited = RunConfiguration()
limited.max_run_duration_seconds = 4

# Their runs wait until all of them are there.
waiting = {"is_paused_upon_creation": True}
hang = pipeline_of_one("hang").to_dag("faults_hang", **waiting)
stubborn = pipeline_of_one("stubborn").to_dag("faults_stubborn", **waiting)
hang_limited = pipeline_of_one("hang", limited).to_dag("faults_hang_limited", **waiting)
recover = pipeline_of_one("recover").to_dag("faults_recover", **waiting)
shoot = pipeline_of_one("shoot").to_dag("faults_shoot", **waiting)
print_lines = pipeline_of_one("print_lines").to_dag("faults_print_lines", **waiting)
print_bytes = pipeline_of_one("print_bytes").to_dag("faults_print_bytes", **waiting)
wait = pipeline_of_one("wait").to_dag("faults_wait", **waiting)
relay_dag = relay().to_dag("faults_relay", **waiting)
