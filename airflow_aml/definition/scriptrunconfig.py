"""``ScriptRunConfig``: one script to run, without a pipeline around it (reference 1.1)."""

from __future__ import annotations

import os
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Optional, Sequence

from airflow_aml.definition.pipeline import Pipeline
from airflow_aml.definition.runconfig import RunConfiguration
from airflow_aml.definition.step import PythonScriptStep
from airflow_aml.errors import NotServedError, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.runconfig import DockerConfiguration, Environment
    from airflow_aml.definition.spec import PipelineSpec

__all__ = ["ScriptRunConfig"]

MONTH = 2592000
"""Seconds: v1's default of ``max_run_duration_seconds``."""


class ScriptRunConfig:
    """What ``Experiment.submit`` runs as a pipeline of one step. It is never reused, as in v1.

    Args:
        source_directory: the folder that the script is in; all of it is the run's snapshot.
        script: path of the script inside it.
        arguments: the command line: texts, numbers, parameters, datasets and outputs.
        run_config: with it the settings after it are ignored, with a warning.
        max_run_duration_seconds: after so long the script is ended and the run fails.

    Raises:
        NotServedError: ``command``, ``distributed_job_config`` or ``resume_from`` is given.
        UserErrorException: there is no script, neither here nor in ``run_config``.
    """

    def __init__(
        self,
        source_directory: Any,
        script: Optional[str] = None,
        arguments: Optional[Sequence[Any]] = None,
        run_config: Optional[RunConfiguration] = None,
        compute_target: Any = None,
        environment: Optional[Environment] = None,
        distributed_job_config: Any = None,
        resume_from: Any = None,
        max_run_duration_seconds: Optional[float] = MONTH,
        command: Any = None,
        docker_runtime_config: Optional[DockerConfiguration] = None,
    ):
        for name, value in (("command", command), ("resume_from", resume_from)):
            if value is not None:
                raise NotServedError(f"ScriptRunConfig: {name}= is not served.")
        if distributed_job_config is not None:
            raise NotServedError(
                "ScriptRunConfig: distributed_job_config= is not served; a script is one process."
            )
        ignored = {
            "compute_target": compute_target,
            "environment": environment,
            "docker_runtime_config": docker_runtime_config,
        }
        if run_config is None:
            run_config = RunConfiguration()
            run_config.target = compute_target if compute_target is not None else "local"
            run_config.max_run_duration_seconds = max_run_duration_seconds
            if environment is not None:
                run_config.environment = environment
            if docker_runtime_config is not None:
                run_config.docker = docker_runtime_config
        else:
            given = [f"{name}=" for name, value in ignored.items() if value is not None]
            if given:
                warnings.warn(
                    f"ScriptRunConfig: run_config is given, so {', '.join(given)} is ignored.",
                    stacklevel=2,
                )
        self.source_directory = os.fspath(source_directory)
        self.script = script or run_config.script
        self.arguments = list(run_config.arguments if arguments is None else arguments)
        self.run_config = run_config
        if not self.script:
            raise UserErrorException(
                "ScriptRunConfig needs a script.",
                hint='Write ScriptRunConfig(source_directory=".", script="train.py").',
            )

    def pipeline(self, workspace: Any) -> Pipeline:
        """The pipeline that runs it."""
        assert self.script is not None
        step = PythonScriptStep(
            self.script,
            arguments=self.arguments,
            compute_target=self.run_config.target,
            runconfig=self.run_config,
            source_directory=self.source_directory,
            allow_reuse=False,
        )
        return _ScriptPipeline(workspace, [step])

    def __repr__(self) -> str:
        return f"ScriptRunConfig({self.script!r} in {self.source_directory!r})"


class _ScriptPipeline(Pipeline):
    """A pipeline whose runs are those of its one script, whoever starts them."""

    @property
    def spec(self) -> PipelineSpec:
        return replace(super().spec, script=True)
