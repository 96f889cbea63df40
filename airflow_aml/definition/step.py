"""Steps: PipelineStep, PythonScriptStep and StepSequence (reference 1.3, 1.4)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Union

from airflow_aml.definition.ports import Ports, check_runconfig_parameters, step_parameters
from airflow_aml.definition.reusepolicy import ReusePolicy
from airflow_aml.definition.spec import DEFAULT_REUSE, DEFAULT_SETTINGS, ReuseSpec, RunSettings
from airflow_aml.errors import PipelineDefinitionError, PipelineTypeError, call_site

if TYPE_CHECKING:
    from airflow_aml.definition.runconfig import RunConfiguration


class PipelineStep:
    """One step of a pipeline: what it reads, writes and is told.

    Attributes:
        name: v1's name; need not be unique.
        ports: inputs, outputs and argument templates.
        settings: how it wants to be run.
        defined_at: ``file.py:12`` of the call that made it, for messages.
    """

    kind = "step"

    def __init__(
        self,
        name: str,
        inputs: Optional[Sequence[Any]] = None,
        outputs: Optional[Sequence[Any]] = None,
        arguments: Optional[Sequence[Any]] = None,
        fix_port_name_collisions: bool = False,
        resource_inputs: Optional[Sequence[Any]] = None,
    ):
        if not isinstance(name, str) or not name.strip():
            raise PipelineTypeError(f"a step's name must be a text, not {name!r}.")
        if not name.isprintable():
            raise PipelineDefinitionError(f"a step's name must be printable, not {name!r}.")
        self.name = name
        self.defined_at = call_site()
        self.ports = Ports(name, inputs, outputs, arguments)
        self.settings = DEFAULT_SETTINGS
        self.compute: Optional[str] = None
        self.script_name = ""
        self.source_directory: Optional[str] = None
        self.params: Dict[str, Any] = {}
        self.allow_reuse = True
        self.reuse = DEFAULT_REUSE
        self.version: Optional[str] = None
        self.hash_paths: Sequence[str] = ()
        self.predecessors: List[PipelineStep] = []
        for port in self.ports.outputs:
            port.data.producer.step, port.data.producer.port = self, port.name

    @property
    def where(self) -> str:
        """How messages name this step."""
        return (
            f"{self.defined_at}, step {self.name!r}" if self.defined_at else f"step {self.name!r}"
        )

    def run_after(self, step: PipelineStep) -> None:
        """Makes this step wait for ``step`` although no data comes from it.

        Raises:
            PipelineTypeError: ``step`` is not a step.
        """
        if not isinstance(step, PipelineStep):
            raise PipelineTypeError(
                f"run_after takes a step, not a {type(step).__name__}.", where=self.where
            )
        if step not in self.predecessors:
            self.predecessors.append(step)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


class PythonScriptStep(PipelineStep):
    """Runs a Python script (reference 1.4).

    Args:
        script_name: path of the script inside the source folder.
        name: shown in Airflow; the script's name when None.
        arguments: command line of the script: texts, numbers, ``PipelineParameter``, inputs and
            outputs, which become local paths.
        compute_target: name or object; the default compute when None.
        runconfig: a ``RunConfiguration``.
        inputs, outputs: data that the arguments do not name, or ``PipelineData`` that they do.
        params: values that the script finds as ``AML_PARAMETER_<name>`` variables.
        source_directory: folder that travels with the script, relative to the defining file; that
            file's own folder when neither this nor the pipeline's default is given.
        allow_reuse: whether an earlier result of the same step may stand in for a run.
        version: a label that is part of the step's identity.
        hash_paths: further paths whose content is part of it.
        reuse: a ``ReusePolicy``: how old a result may be, what does not count. Not in v1.
        target: v1's guide uses it for ``compute_target``; so it is taken, with a warning.

    Raises:
        PipelineDefinitionError, PipelineTypeError: an argument that v1 refuses too (reference 2.2).
        NotServedError: a setting that this release does not have.
    """

    kind = "python_script"

    def __init__(
        self,
        script_name: str,
        name: Optional[str] = None,
        arguments: Optional[Sequence[Any]] = None,
        compute_target: Any = None,
        runconfig: Optional[RunConfiguration] = None,
        runconfig_pipeline_params: Optional[Mapping[str, Any]] = None,
        inputs: Optional[Sequence[Any]] = None,
        outputs: Optional[Sequence[Any]] = None,
        params: Optional[Dict[str, Any]] = None,
        source_directory: Optional[str] = None,
        allow_reuse: bool = True,
        version: Optional[str] = None,
        hash_paths: Optional[Sequence[str]] = None,
        target: Any = None,
        *,
        reuse: Optional[ReusePolicy] = None,
    ):
        if script_name is None or script_name == "":
            raise PipelineDefinitionError("script_name is required")
        if not isinstance(script_name, str):
            raise PipelineTypeError("script_name must be a string")
        super().__init__(name or script_name, inputs, outputs, arguments)
        if target is not None and compute_target is None:
            warnings.warn(f"{self.where}: target= is read as compute_target=.", stacklevel=2)
            compute_target = target
        self.script_name = script_name.replace("\\", "/")
        if ".." in self.script_name.split("/") or self.script_name.startswith("/"):
            raise PipelineDefinitionError(
                f"script_name {script_name!r} must be a path inside the source folder.",
                where=self.where,
                hint="Give the folder as source_directory.",
            )
        check_runconfig_parameters(runconfig_pipeline_params, f"step {self.name!r}")
        self.source_directory = source_directory
        self.params = step_parameters(params, self.ports, f"step {self.name!r}")
        self.settings = _settings(runconfig, self.where)
        self.compute = _compute_name(compute_target, runconfig, self.where)
        self.allow_reuse = _flag(allow_reuse, f"{self.where}, allow_reuse")
        self.reuse = _reuse(reuse, self.where)
        self.version = None if version is None else str(version)
        self.hash_paths = tuple(map(str, hash_paths or ()))


class StepSequence:
    """Groups of steps that run one group after the other (reference 2.1).

    ``StepSequence([[a, b], c])``: c waits for a and b.
    """

    def __init__(self, steps: Optional[Sequence[Union[PipelineStep, Sequence[Any]]]] = None):
        self.steps = list(steps or ())


def _flag(value: Any, where: str) -> bool:
    if value not in (True, False, None):
        raise PipelineTypeError(f"it is True or False, not {value!r}.", where=where)
    return bool(value)


def _settings(runconfig: Any, where: str) -> RunSettings:
    if runconfig is None:
        return DEFAULT_SETTINGS
    from airflow_aml.definition.runconfig import RunConfiguration

    if not isinstance(runconfig, RunConfiguration):
        raise PipelineTypeError(
            f"runconfig must be a RunConfiguration, not {type(runconfig).__name__}.", where=where
        )
    return runconfig.settings


def _reuse(policy: Optional[ReusePolicy], where: str) -> ReuseSpec:
    if policy is None:
        return DEFAULT_REUSE
    if not isinstance(policy, ReusePolicy):
        raise PipelineTypeError(
            f"reuse must be a ReusePolicy, not {type(policy).__name__}.", where=where
        )
    return policy.spec


def _compute_name(target: Any, runconfig: Optional[RunConfiguration], where: str) -> Optional[str]:
    if target is None and runconfig is not None:
        target = runconfig.target
    if isinstance(target, tuple) and target:
        target = target[0]
    name = getattr(target, "name", target)
    if name is None or isinstance(name, str):
        return name or None
    raise PipelineTypeError(
        f"compute_target must be a name or a compute target, not {target!r}.", where=where
    )
