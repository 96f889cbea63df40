"""A program's folder, and the pipeline that it publishes."""

from __future__ import annotations

import pytest

from airflow_aml.definition.origin import loading

SCRIPT = """
    import argparse, os
    parser = argparse.ArgumentParser()
    parser.add_argument("--rate")
    parser.add_argument("--out")
    args = parser.parse_args()
    with open(os.path.join(args.out, "rate.txt"), "w") as f:
        f.write(args.rate)
"""


@pytest.fixture
def pipeline(write, workspace):
    """A pipeline of one step, with a parameter, defined in a file of its own."""
    from airflow_aml import (
        OutputFileDatasetConfig,
        Pipeline,
        PipelineParameter,
        PythonScriptStep,
        Workspace,
    )

    write("src/train.py", SCRIPT)
    file = write("program.py", "pass")
    with loading(str(file)):
        out = OutputFileDatasetConfig("out")
        rate = PipelineParameter("rate", 0.1)
        arguments = ["--rate", rate, "--out", out]
        step = PythonScriptStep(
            "train.py", name="train", source_directory="src", arguments=arguments
        )
        return Pipeline(Workspace(), [step], description="Trains")
