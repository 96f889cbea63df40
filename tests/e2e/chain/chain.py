"""Three steps that write many small files each, so that a commit takes long enough to be hit.

``notes`` is a folder in which scripts count how often they ran; its name is in all that they write.
The one in the middle rests for ``pause`` seconds on its way.
"""

from airflow_aml import (
    OutputFileDatasetConfig,
    Pipeline,
    PipelineParameter,
    PythonScriptStep,
    Workspace,
)

ws = Workspace.from_config()
notes, files = PipelineParameter("notes", ""), PipelineParameter("files", 100)
pause = PipelineParameter("pause", 0.0)


def step(name, *before, more=()):
    """A step that writes ``files`` files from those of the step before it."""
    read = ["--source", before[0].as_input(before[0].name)] if before else []
    out = OutputFileDatasetConfig(f"{name}_out")
    made = PythonScriptStep(
        name=name,
        script_name="many.py",
        arguments=["--name", name, "--notes", notes, "--files", files, "--out", out, *read, *more],
        source_directory="steps",
    )
    return made, out


make, made = step("make")
turn, turned = step("turn", made, more=["--pause", pause])
last, _ = step("last", turned)
dag = Pipeline(workspace=ws, steps=[make, turn, last]).to_dag("chain", max_active_runs=64)
# Its runs wait until all of them are there.
at_once = Pipeline(workspace=ws, steps=[last]).to_dag(
    "chain_at_once", is_paused_upon_creation=True, max_active_runs=64
)
