"""RunConfiguration, Environment and CondaDependencies as plain settings (reference 1.1).

They say what a step wants. This release runs every step in the worker's own Python (or in
``environment.python.interpreter_path``) and says so when a step wants another.
"""

from __future__ import annotations

from typing import Any, Dict, Iterable, List, Optional

from airflow_aml.definition.spec import EnvironmentSpec, RunSettings
from airflow_aml.errors import NotServedError, PipelineTypeError

DEFAULT_CPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu22.04"
DEFAULT_GPU_IMAGE = "mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04"


class ConfigElement:
    """A settings object that refuses unknown names, so that typing errors are caught as in v1."""

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and getattr(self, "_sealed", False) and not hasattr(self, name):
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        object.__setattr__(self, name, value)

    def _seal(self) -> None:
        object.__setattr__(self, "_sealed", True)


class CondaDependencies:
    """The packages that an environment asks for.

    Only what is asked for is kept: v1 also added Python and ``azureml-defaults`` by itself.
    """

    def __init__(self) -> None:
        self._pip: List[str] = []
        self._conda: List[str] = []
        self._channels: List[str] = []
        self._python: Optional[str] = None

    @staticmethod
    def create(
        pip_indexurl: Optional[str] = None,
        pip_packages: Optional[Iterable[str]] = None,
        conda_packages: Optional[Iterable[str]] = None,
        python_version: Optional[str] = None,
        pin_sdk_version: bool = True,
    ) -> CondaDependencies:
        """Dependencies from lists of pip and conda packages."""
        result = CondaDependencies()
        result._pip.extend(pip_packages or ())
        result._conda.extend(conda_packages or ())
        result._python = python_version
        return result

    def add_pip_package(self, pip_package: str) -> None:
        """Asks for one more package from PyPI."""
        self._pip.append(pip_package)

    def add_conda_package(self, conda_package: str) -> None:
        """Asks for one more conda package."""
        self._conda.append(conda_package)

    def add_channel(self, channel: str) -> None:
        """Names a conda channel."""
        self._channels.append(channel)

    def set_python_version(self, version: str) -> None:
        """Asks for a Python version, such as ``3.8``."""
        self._python = version

    @property
    def pip_packages(self) -> List[str]:
        """The pip packages, as written."""
        return list(self._pip)

    @property
    def conda_packages(self) -> List[str]:
        """The conda packages, as written."""
        return list(self._conda)

    def get_python_version(self) -> Optional[str]:
        """The Python version asked for, if any."""
        return self._python


class PythonSection(ConfigElement):
    """``environment.python``."""

    def __init__(self) -> None:
        self.user_managed_dependencies = False
        self.interpreter_path: Optional[str] = None
        self.conda_dependencies: Optional[CondaDependencies] = None
        self.conda_dependencies_file: Optional[str] = None
        self._seal()


class DockerSection(ConfigElement):
    """``environment.docker``."""

    def __init__(self) -> None:
        self.enabled = False
        self.base_image: Optional[str] = None
        self.base_dockerfile: Optional[str] = None
        self.base_image_registry: Any = None
        self.build_context: Any = None
        self.arguments: List[str] = []
        self.shared_volumes = True
        self.shm_size: Optional[str] = None
        self.gpu_support = False
        self._seal()


class Environment(ConfigElement):
    """A named set of software for a step."""

    def __init__(self, name: str = ""):
        if not isinstance(name, str):
            raise PipelineTypeError(f"an environment's name must be a string, not {name!r}.")
        self.name = name
        self.version: Optional[str] = None
        self.python = PythonSection()
        self.docker = DockerSection()
        self.environment_variables: Dict[str, str] = {}
        self._seal()

    @staticmethod
    def get(
        workspace: Any, name: str, version: Optional[str] = None, label: Optional[str] = None
    ) -> Environment:
        """The environment of that name, as a setting."""
        result = Environment(name)
        result.version = version or label
        return result

    @staticmethod
    def from_docker_image(name: str, image: str, **_: Any) -> Environment:
        """An environment that is a container image."""
        result = Environment(name)
        result.docker.base_image = image
        return result

    @staticmethod
    def from_conda_specification(name: str, file_path: str) -> Environment:
        """Comes with the compute release."""
        raise NotServedError("Environment.from_conda_specification comes with the compute release.")

    @staticmethod
    def from_pip_requirements(name: str, file_path: str, **_: Any) -> Environment:
        """Comes with the compute release."""
        raise NotServedError("Environment.from_pip_requirements comes with the compute release.")

    @property
    def spec(self) -> EnvironmentSpec:
        """The environment as the spec keeps it."""
        wanted = self.python.conda_dependencies
        return EnvironmentSpec(
            name=self.name or "",
            version=self.version,
            python_version=wanted.get_python_version() if wanted else None,
            pip_packages=tuple(wanted.pip_packages) if wanted else (),
            conda_packages=tuple(wanted.conda_packages) if wanted else (),
            image=self.docker.base_image,
            user_managed=bool(self.python.user_managed_dependencies),
            interpreter=self.python.interpreter_path,
        )


class DockerConfiguration(ConfigElement):
    """How a container is run."""

    def __init__(
        self,
        use_docker: bool = False,
        shared_volumes: bool = True,
        arguments: Optional[Iterable[str]] = None,
        shm_size: str = "2g",
    ):
        self.use_docker = use_docker
        self.shared_volumes = shared_volumes
        self.arguments = list(arguments or ())
        self.shm_size = shm_size
        self._seal()


class RunConfiguration(ConfigElement):
    """How a step wants to be run (reference 1.1).

    ``script`` and ``arguments`` of a step replace the ones here. ``environment_variables``,
    ``max_run_duration_seconds`` and ``environment.python.interpreter_path`` have their effect in
    this release; the rest is kept in the spec.
    """

    def __init__(
        self,
        script: Optional[str] = None,
        arguments: Optional[Iterable[str]] = None,
        framework: Optional[str] = None,
        communicator: Optional[str] = None,
        conda_dependencies: Optional[CondaDependencies] = None,
        command: Optional[str] = None,
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
        self.environment = Environment()
        self.environment.python.conda_dependencies = conda_dependencies
        self.environment_variables: Dict[str, str] = {}
        self.docker = DockerConfiguration()
        self.credential_passthrough = False
        self.source_directory_data_store: Optional[str] = None
        self._seal()

    @property
    def settings(self) -> RunSettings:
        """The configuration as the spec keeps it.

        Raises:
            NotServedError: more than one node, or a framework that is not plain Python.
        """
        if self.node_count != 1 or str(self.communicator) not in ("None", "none"):
            raise NotServedError(
                f"node_count={self.node_count}, communicator={self.communicator}: distributed "
                "steps come with the compute release; this one runs a step as one process."
            )
        if self.framework != "Python":
            raise NotServedError(f"framework {self.framework!r} is not served; only 'Python' is.")
        variables = {**self.environment.environment_variables, **self.environment_variables}
        return RunSettings(
            environment=self.environment.spec,
            environment_variables={str(k): str(v) for k, v in variables.items()},
            max_run_seconds=self.max_run_duration_seconds and float(self.max_run_duration_seconds),
        )
