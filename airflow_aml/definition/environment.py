"""Environment: a named set of software for a step (reference 1.1)."""

from __future__ import annotations

import copy
import json
import os
import re
from dataclasses import replace
from typing import Any, Dict, List, Optional

from airflow_aml.codec import decode, encode
from airflow_aml.definition.condadependencies import CondaDependencies
from airflow_aml.definition.configelement import ConfigElement, fill, to_document
from airflow_aml.definition.homes import home_of
from airflow_aml.definition.origin import beside
from airflow_aml.definition.setup import REGISTER_ENVIRONMENT, declare, is_loading
from airflow_aml.definition.spec import EnvironmentSpec
from airflow_aml.errors import NotServedError, PipelineTypeError, UserErrorException
from airflow_aml.runtime import hidden

DEFAULT_NAME = "default-environment"

_FILE = "azureml_environment.json"
_CONDA = (CondaDependencies, type(None))
_INSTEAD = {
    "docker": "A DockerConfiguration belongs to the run configuration: config.docker.",
    "python.conda_dependencies": "CondaDependencies(path) reads a file; its path alone is "
    "conda_dependencies_file.",
}
_FROM = re.compile(r"\s*FROM\s", re.IGNORECASE)


class PythonSection(ConfigElement):
    """``environment.python``."""

    def __init__(self) -> None:
        self.user_managed_dependencies = False
        self.interpreter_path: Optional[str] = None
        self.conda_dependencies: Optional[CondaDependencies] = None
        self.conda_dependencies_file: Optional[str] = None
        self._seal()


class ContainerRegistry(ConfigElement):
    """Where an image is from. A password is an Airflow connection's matter and is not kept."""

    def __init__(self) -> None:
        self.address: Optional[str] = None
        self.username: Optional[str] = None
        self._seal()

    @property
    def password(self) -> None:
        """Never kept here.

        Raises:
            NotServedError: one is set.
        """
        return None

    @password.setter
    def password(self, value: Optional[str]) -> None:
        if value is not None:
            raise NotServedError(
                "ContainerRegistry.password is not served: pipelines are kept, and passwords not.",
                hint="Put it into an Airflow connection, and name that as the compute's "
                "'connection'.",
            )


class DockerSection(ConfigElement):
    """``environment.docker``."""

    def __init__(self) -> None:
        self.enabled = False
        self.base_image: Optional[str] = None
        self.base_dockerfile: Optional[str] = None
        self.base_image_registry: Any = ContainerRegistry()
        self.build_context: Any = None
        self.platform: Any = None
        self.arguments: List[str] = []
        self.shared_volumes = True
        self.shm_size: Optional[str] = None
        self.gpu_support = False
        self._seal()


class SparkSection(ConfigElement):
    """``environment.spark``: kept, and of no effect here."""

    def __init__(self) -> None:
        self.repositories: List[Any] = []
        self.packages: List[Any] = []
        self.precache_packages = True
        self._seal()


class Environment(ConfigElement):
    """A named set of software for a step.

    One that is looked up by its name (``get``, or a name and version that are assigned) is looked
    up when a run starts; packages that are added to it come on top.

    Raises:
        PipelineTypeError: the name is not a string.
    """

    def __init__(self, name: str = ""):
        if not isinstance(name, str):
            raise PipelineTypeError(f"an environment's name must be a string, not {name!r}.")
        self.name = name
        self.version: Optional[str] = None
        self.python = PythonSection()
        self.docker = DockerSection()
        self.spark = SparkSection()
        self.r: Any = None
        self.databricks: Any = None
        self.inferencing_stack_version: Optional[str] = None
        self.environment_variables: Dict[str, str] = {}
        self._reference = ""  # the name that is looked up
        self._seal()

    @staticmethod
    def get(
        workspace: Any, name: str, version: Optional[str] = None, label: Optional[str] = None
    ) -> Environment:
        """The registered or curated environment of that name.

        While a file is being loaded it is not looked up yet: the run does that.

        Raises:
            UserErrorException: version and label are given, or there is no such environment.
        """
        if version is not None and label is not None:
            raise UserErrorException("version and label cannot both be given.", where=name)
        if label not in (None, "latest"):
            raise NotServedError(f"label {label!r} of an environment is not served; use a version.")
        if not is_loading():
            return _load(workspace, name, version)
        result = Environment(name)
        result.version = version
        result._reference = name
        result.python.conda_dependencies = CondaDependencies()
        return result

    @staticmethod
    def list(workspace: Any) -> Dict[str, Environment]:
        """All environments by name; while a file is being loaded, only the curated ones."""
        from airflow_aml.workspace import environments
        from airflow_aml.workspace.curated import curated_names, site_curated

        if is_loading():
            known = curated_names(site_curated(os.environ))
            return {name: Environment.get(workspace, name) for name in known}
        names = environments.names(home_of(workspace), site_curated(os.environ))
        return {name: _load(workspace, name, None) for name in names}

    @staticmethod
    def from_conda_specification(name: str, file_path: str) -> Environment:
        """An environment of a conda YAML file's packages.

        Raises:
            UserErrorException: the file cannot be read, or is no conda file.
        """
        result = Environment(name)
        result.python.conda_dependencies = CondaDependencies(file_path)
        return result

    @staticmethod
    def from_pip_requirements(
        name: str, file_path: str, pip_version: Optional[str] = None
    ) -> Environment:
        """An environment of a requirements file's packages.

        Raises:
            UserErrorException: the file cannot be read.
            NotServedError: it names a package on this machine's disk.
        """
        result = Environment(name)
        result.python.conda_dependencies = CondaDependencies()
        result.python.conda_dependencies.set_pip_requirements(file_path)
        return result

    @staticmethod
    def from_docker_image(
        name: str,
        image: str,
        container_registry: Any = None,
        conda_specification: Optional[str] = None,
        pip_requirements: Optional[str] = None,
    ) -> Environment:
        """An environment that is a container image, with further packages or without.

        Raises:
            UserErrorException: both kinds of further packages are given.
        """
        result = _with_packages(name, conda_specification, pip_requirements)
        result.docker.base_image = image
        if container_registry is not None:
            result.docker.base_image_registry = container_registry
        return result

    @staticmethod
    def from_dockerfile(
        name: str,
        dockerfile: str,
        conda_specification: Optional[str] = None,
        pip_requirements: Optional[str] = None,
    ) -> Environment:
        """An environment of a Dockerfile, given as its path or its text.

        Raises:
            UserErrorException: both kinds of further packages are given, or there is no such file.
        """
        result = _with_packages(name, conda_specification, pip_requirements)
        result.docker.base_dockerfile = _dockerfile(dockerfile)
        return result

    @staticmethod
    def from_docker_build_context(name: str, docker_build_context: Any) -> Environment:
        """Not served."""
        raise NotServedError(
            "Environment.from_docker_build_context is not served; use from_dockerfile."
        )

    @staticmethod
    def from_existing_conda_environment(name: str, conda_environment_name: str) -> Environment:
        """Not served."""
        raise NotServedError(
            "Environment.from_existing_conda_environment is not served: environments are made "
            "without conda.",
            hint="'conda env export --from-history' writes a file for from_conda_specification.",
        )

    @staticmethod
    def add_private_pip_wheel(workspace: Any, file_path: str, exist_ok: bool = False) -> str:
        """Not served."""
        raise NotServedError(
            "Environment.add_private_pip_wheel is not served: a workspace serves no packages.",
            hint="Put the wheel on an index that set_pip_index_url names, or its package's folder "
            "into the step's source_directory.",
        )

    @staticmethod
    def load_from_directory(path: str) -> Environment:
        """The environment that :meth:`save_to_directory` wrote.

        Raises:
            FileNotFoundError: there is none.
        """
        with open(beside(os.path.join(path, _FILE)), encoding="utf-8") as stream:
            document = json.load(stream)
        result = Environment(str(document.get("name") or ""))
        fill(result, document)
        return result

    def save_to_directory(self, path: str, overwrite: bool = False) -> None:
        """Writes the environment into a folder, which is made.

        Raises:
            UserErrorException: there is one already, and ``overwrite`` is not set.
        """
        place = beside(os.path.join(path, _FILE))
        if os.path.exists(place) and not overwrite:
            raise UserErrorException(
                "there is an environment already.", where=place, hint="Set overwrite=True."
            )
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as stream:
            json.dump(to_document(self), stream, indent=1)

    def register(self, workspace: Any) -> Environment:
        """Keeps the environment in the workspace under its name, as a new version if it is new.

        Returns:
            The environment in the version that it has there. The one that is registered stays as it
            is, so that it may be changed and registered again.

        Raises:
            UserErrorException: it has no name, or its version is there already with other content.
        """
        if not self.name or self.name == DEFAULT_NAME:
            raise UserErrorException("an environment that is registered needs a name.")
        document = {
            "spec": encode(self.spec),
            "variables": dict(self.environment_variables),
            "version": self.version,
        }
        if not declare(REGISTER_ENVIRONMENT, {"name": self.name, "document": document}):
            from airflow_aml.workspace import environments

            registered = copy.deepcopy(self)
            registered.version = environments.register(home_of(workspace), self.name, document)
            return registered
        return self

    def clone(self, new_name: str) -> Environment:
        """The same under another name."""
        result = copy.deepcopy(self)
        result.name = new_name
        return result

    def __getattr__(self, name: str) -> Any:
        if name in ("build", "build_local", "get_image_details", "label"):
            raise NotServedError(f"Environment.{name} is not served.")
        raise AttributeError(f"'{type(self).__name__}' object has no attribute {name!r}")

    def _check_types(self) -> None:
        """Before anything is read: an AttributeError of it would be told as one of ``spec``."""
        python, docker = self.python, self.docker
        texts = (str, type(None))
        for name, value, kinds in (
            ("python", python, PythonSection),
            ("docker", docker, DockerSection),
            ("python.conda_dependencies", getattr(python, "conda_dependencies", None), _CONDA),
            ("python.interpreter_path", getattr(python, "interpreter_path", None), texts),
            ("docker.base_image", getattr(docker, "base_image", None), texts),
            ("docker.base_dockerfile", getattr(docker, "base_dockerfile", None), texts),
        ):
            if not isinstance(value, kinds):
                wanted = kinds if isinstance(kinds, type) else kinds[0]
                raise PipelineTypeError(
                    f"environment.{name} must be a {wanted.__name__}, not {value!r}.",
                    hint=_INSTEAD.get(name),
                )

    @property
    def spec(self) -> EnvironmentSpec:
        """The environment as the spec keeps it.

        Raises:
            PipelineTypeError: a section or a setting is something else than v1's.
        """
        self._check_types()
        wanted = self.python.conda_dependencies
        if wanted is None and self.python.conda_dependencies_file:
            wanted = CondaDependencies(self.python.conda_dependencies_file)
        spec = EnvironmentSpec(
            name=self.name if self.name != DEFAULT_NAME else "",
            version=None if self.version is None else str(self.version),
            python_version=wanted.get_python_version() if wanted else None,
            pip_packages=tuple(wanted.pip_packages) if wanted else (),
            conda_packages=tuple(wanted.conda_packages) if wanted else (),
            pip_options=tuple(wanted.pip_options) if wanted else (),
            image=self.docker.base_image,
            dockerfile=_dockerfile(self.docker.base_dockerfile),
            user_managed=bool(self.python.user_managed_dependencies),
            interpreter=self.python.interpreter_path,
        )
        if self._reference:
            return replace(spec, name=self._reference, registered=True)
        # "environment.name = 'X'; environment.version = '1.0'" means the registered one.
        by_name_alone = spec == EnvironmentSpec(name=spec.name, version=spec.version)
        named = self.version is not None or isinstance(self, UnnamedEnvironment)
        return replace(spec, registered=bool(spec.name and by_name_alone and named))


class UnnamedEnvironment(Environment):
    """A run configuration's own environment: whoever names it means a registered one."""

    def __init__(self) -> None:
        super().__init__(DEFAULT_NAME)


class EnvironmentReference(Environment):
    """A registered environment, by name and version."""

    def __init__(self, name: str, version: Optional[str] = None):
        super().__init__(name)
        self.version = version
        self._reference = name
        self.python.conda_dependencies = CondaDependencies()


def _load(workspace: Any, name: str, version: Optional[str]) -> Environment:
    from airflow_aml.workspace import environments
    from airflow_aml.workspace.curated import site_curated

    home = home_of(workspace)
    document = environments.find(home, name, version, site_curated(os.environ))
    if hidden.work_folder() is not None:  # a script asks, so its result depends on it
        found = environments.registered(home, name, version)
        answer = found and {"version": found[0], "id": found[1]}
        hidden.note(environments.KIND, name, version, answer)
    spec: EnvironmentSpec = decode(EnvironmentSpec, document["spec"])
    result = Environment(name)
    result.version = document.get("version") or version
    wanted = CondaDependencies.create(
        pip_packages=(*spec.pip_options, *spec.pip_packages),
        conda_packages=spec.conda_packages,
        python_version=spec.python_version,
    )
    result.python.conda_dependencies = wanted
    result.python.user_managed_dependencies = spec.user_managed
    result.python.interpreter_path = spec.interpreter
    result.docker.base_image, result.docker.base_dockerfile = spec.image, spec.dockerfile
    result.environment_variables.update(document.get("variables") or {})
    return result


def _with_packages(name: str, conda: Optional[str], pip: Optional[str]) -> Environment:
    if conda is not None and pip is not None:
        raise UserErrorException(
            "conda_specification and pip_requirements cannot both be given.",
            where=f"environment {name!r}",
        )
    if conda is not None:
        return Environment.from_conda_specification(name, conda)
    if pip is not None:
        return Environment.from_pip_requirements(name, pip)
    return Environment(name)


def _dockerfile(given: Optional[str]) -> Optional[str]:
    """A Dockerfile's text; v1 takes its path, too."""
    if given and "\n" not in given and os.path.isfile(beside(given)):
        with open(beside(given), encoding="utf-8") as stream:
            return stream.read()
    if given and "\n" not in given and not _FROM.match(given):
        raise UserErrorException(
            f"{given!r} is neither a Dockerfile's text nor the path of one that is there."
        )
    return given
