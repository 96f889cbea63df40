"""RunConfiguration: how a step wants to be run (reference 1.1)."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, Iterable, List, Mapping, Optional, Tuple

from airflow_aml.definition.condadependencies import CondaDependencies
from airflow_aml.definition.configelement import ConfigElement, fill, to_document
from airflow_aml.definition.environment import (
    ContainerRegistry,
    DockerSection,
    Environment,
    EnvironmentReference,
    PythonSection,
    UnnamedEnvironment,
)
from airflow_aml.definition.origin import beside
from airflow_aml.definition.spec import RunSettings
from airflow_aml.errors import NotServedError, UserErrorException

__all__ = [
    "DEFAULT_CPU_IMAGE",
    "DEFAULT_GPU_IMAGE",
    "CondaDependencies",
    "ContainerRegistry",
    "DockerConfiguration",
    "DockerSection",
    "Environment",
    "EnvironmentReference",
    "MpiConfiguration",
    "PyTorchConfiguration",
    "PythonSection",
    "RunConfiguration",
    "TensorflowConfiguration",
]

DEFAULT_CPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"
DEFAULT_GPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04"

_SHM_SIZE = "2g"
_SIZE = re.compile(r"[1-9]\d*[bkmg]?", re.IGNORECASE)


class DockerConfiguration(ConfigElement):
    """How a container is run: ``shm_size`` counts, and ``arguments`` are refused where it runs.

    Whether there is a container at all is its compute's matter.
    """

    def __init__(
        self,
        use_docker: bool = False,
        shared_volumes: bool = True,
        arguments: Optional[Iterable[str]] = None,
        shm_size: str = _SHM_SIZE,
    ):
        self.use_docker = use_docker
        self.shared_volumes = shared_volumes
        self.arguments = list(arguments or ())
        self.shm_size = shm_size
        self._seal()


class MpiConfiguration(ConfigElement):
    """How many processes MPI starts; more than one is refused where the step is built."""

    def __init__(self, process_count_per_node: int = 1, node_count: int = 1):
        self.process_count_per_node = process_count_per_node
        self.node_count = node_count
        self._seal()


class PyTorchConfiguration(ConfigElement):
    """How many processes PyTorch starts; more than one is refused where the step is built."""

    def __init__(
        self,
        communication_backend: str = "Nccl",
        process_count: Optional[int] = None,
        node_count: int = 1,
    ):
        self.communication_backend = communication_backend
        self.process_count = process_count
        self.node_count = node_count
        self._seal()


class TensorflowConfiguration(ConfigElement):
    """How many processes TensorFlow starts; more than one is refused where the step is built."""

    def __init__(self, worker_count: int = 1, parameter_server_count: int = 1):
        self.worker_count = worker_count
        self.parameter_server_count = parameter_server_count
        self._seal()


class Section(ConfigElement):
    """Further settings of v1's, which are kept and have no effect here."""

    def __init__(self, **settings: Any):
        for name, value in settings.items():
            setattr(self, name, value)
        self._seal()


class RunConfiguration(ConfigElement):
    """How a step wants to be run.

    ``script`` and ``arguments`` of a step replace the ones here. ``environment``,
    ``environment_variables``, ``target``, ``docker`` and ``max_run_duration_seconds`` have their
    effect; the rest of v1's settings are there to be set and kept.
    """

    def __init__(
        self,
        script: Optional[str] = None,
        arguments: Optional[Iterable[str]] = None,
        framework: Optional[str] = None,
        communicator: Optional[str] = None,
        conda_dependencies: Optional[CondaDependencies] = None,
        command: Optional[str] = None,
        _history_enabled: bool = True,
        _path: Optional[str] = None,
        _name: Optional[str] = None,
    ):
        self.script = script
        self.arguments = list(arguments or ())
        self.command = command
        self.framework = framework or "Python"
        self.communicator = communicator or "None"
        self.target: Any = "local"
        self.node_count = 1
        self.max_run_duration_seconds: Optional[float] = None
        self.priority: Optional[int] = None
        self.environment: Environment = UnnamedEnvironment()
        self.environment.python.conda_dependencies = conda_dependencies
        self.environment_variables: Dict[str, str] = {}
        self.docker = DockerConfiguration()
        self.mpi = MpiConfiguration()
        self.pytorch = PyTorchConfiguration()
        self.tensorflow = TensorflowConfiguration()
        self.history = Section(
            output_collection=True, snapshot_project=True, directories_to_watch=["logs"]
        )
        self.spark = Section(configuration={"spark.app.name": "Azure ML Experiment"})
        self.hdi = Section(yarn_deploy_mode="cluster")
        self.paralleltask = Section(max_retries_per_worker=0, worker_count_per_node=1)
        self.amlcompute = Section(vm_size=None, vm_priority=None)
        self.kubernetescompute = Section(instance_type=None)
        self.data_references: Dict[str, Any] = {}
        self.data: Dict[str, Any] = {}
        self.datacaches: List[Any] = []
        self.output_data: Dict[str, Any] = {}
        self.application_endpoints: Dict[str, Any] = {}
        self.credential_passthrough = False
        self.source_directory_data_store: Optional[str] = None
        self._seal()

    @property
    def auto_prepare_environment(self) -> bool:
        """v1's old switch; environments are always made when they are needed."""
        return True

    def save(
        self,
        path: Optional[str] = None,
        name: Optional[str] = None,
        separate_environment_yaml: bool = False,
    ) -> None:
        """Writes the configuration as YAML: ``<path>/.azureml/<name>.runconfig``.

        Raises:
            NotServedError: ``separate_environment_yaml`` is set.
        """
        if separate_environment_yaml:
            raise NotServedError("RunConfiguration.save with separate_environment_yaml")
        from airflow_aml.definition.condafiles import dump_yaml

        place = _place(path, name)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as stream:
            stream.write(dump_yaml(to_document(self)))

    @staticmethod
    def load(path: str, name: Optional[str] = None) -> RunConfiguration:
        """The configuration of such a file; ``path`` is its folder's parent, or the file.

        Raises:
            UserErrorException: it is not there, or is no run configuration.
        """
        from airflow_aml.definition.condafiles import load_yaml

        place = beside(path) if os.path.isfile(beside(path)) else _place(path, name)
        document = load_yaml(place)
        if not isinstance(document, dict):
            raise UserErrorException("this is no run configuration.", where=place)
        result = RunConfiguration()
        fill(result, document)
        return result

    @staticmethod
    def delete(path: str, name: str) -> None:
        """Removes such a file.

        Raises:
            UserErrorException: it is not there.
        """
        try:
            os.remove(_place(path, name))
        except FileNotFoundError:
            raise UserErrorException("there is no such file.", where=_place(path, name)) from None

    @property
    def settings(self) -> RunSettings:
        """The configuration as the spec keeps it.

        Raises:
            NotServedError: more than one process, or a framework that is not plain Python.
            UserErrorException: a value that its setting cannot have.
        """
        self._refuse_distributed()
        if self.framework.lower() != "python":  # v1's own notebooks write both
            raise NotServedError(f"framework {self.framework!r} is not served; only 'Python' is.")
        if not isinstance(self.environment, Environment):
            raise UserErrorException(
                f"environment must be an Environment, not {self.environment!r}.",
                hint="Environment.get(ws, name) has the registered one of a name.",
            )
        return RunSettings(
            environment=self.environment.spec,
            environment_variables={
                **_variables(self.environment.environment_variables),
                **_variables(self.environment_variables),
            },
            max_run_seconds=_seconds(self.max_run_duration_seconds),
            shm_size=self._shm_size(),
            docker_arguments=(
                *_arguments(self.environment.docker.arguments),
                *_arguments(self.docker.arguments),
            ),
        )

    def _shm_size(self) -> Optional[str]:
        """What the author says, if it is anything but v1's own default."""
        given = self.docker.shm_size
        found = self.environment.docker.shm_size if given in (None, _SHM_SIZE) else given
        if found is not None and not (isinstance(found, str) and _SIZE.fullmatch(found)):
            raise UserErrorException(
                f"shm_size must be a text such as '512m' or '8g', not {found!r}."
            )
        return found

    def _refuse_distributed(self) -> None:
        counts = {
            "node_count": self.node_count,
            "mpi.process_count_per_node": self.mpi.process_count_per_node,
            "mpi.node_count": self.mpi.node_count,
            "pytorch.process_count": self.pytorch.process_count or 1,
            "pytorch.node_count": self.pytorch.node_count,
            "tensorflow.worker_count": self.tensorflow.worker_count,
            "tensorflow.parameter_server_count": self.tensorflow.parameter_server_count,
        }
        several = [f"{name}={count}" for name, count in counts.items() if count != 1]
        if str(self.communicator) not in ("None", "none"):
            several.append(f"communicator={self.communicator}")
        if several:
            raise NotServedError(
                f"{', '.join(several)}: distributed steps are not served; a step is one process."
            )


def _variables(given: Any) -> Dict[str, str]:
    """Environment variables as texts: numbers and the like are written out.

    Raises:
        UserErrorException: it is no dict, or no process can have such a name or value.
    """
    if not isinstance(given, Mapping):
        raise UserErrorException(f"environment_variables must be a dict, not {given!r}.")
    found = {str(name): value for name, value in given.items()}
    for name, value in found.items():
        if not name or "=" in name or "\0" in name:
            raise UserErrorException(f"{name!r} cannot be the name of an environment variable.")
        if value is None or "\0" in str(value):
            raise UserErrorException(
                f"{value!r} cannot be the value of the environment variable {name!r}."
            )
    return {name: str(value) for name, value in found.items()}


def _seconds(given: Any) -> Optional[float]:
    if given is None:
        return None
    try:
        found = float(given)
    except (TypeError, ValueError):
        found = -1.0
    if not 0 <= found < float("inf"):
        raise UserErrorException(
            f"max_run_duration_seconds must be a number of seconds, not {given!r}."
        )
    return found or None


def _arguments(given: Any) -> Tuple[str, ...]:
    return tuple(map(str, [given] if isinstance(given, str) else given or ()))


def _place(path: Optional[str], name: Optional[str]) -> str:
    folder = beside(path or ".")
    if name is None and folder.endswith((".runconfig", ".yml", ".yaml")):
        return folder
    return os.path.join(folder, ".azureml", f"{name or 'local'}.runconfig")
