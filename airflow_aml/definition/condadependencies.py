"""CondaDependencies: the packages that an environment asks for (reference 1.1)."""

from __future__ import annotations

import os
import re
from typing import Any, Dict, Iterable, List, Optional

from airflow_aml.definition.condafiles import (
    dump_yaml,
    load_yaml,
    read_requirements,
    requirement_or_option,
)
from airflow_aml.definition.origin import beside
from airflow_aml.errors import UserErrorException

_KEYS = ("name", "channels", "dependencies", "prefix", "variables")
_NAME = re.compile(r"(?:[^:\s]+::)?([A-Za-z0-9_][A-Za-z0-9._-]*)")


class CondaDependencies:
    """The packages that an environment asks for, conda's and pip's.

    Only what is asked for is kept: v1 also added Python and ``azureml-defaults`` by itself.
    Everything is installed from PyPI, conda packages under the names that they have there.

    Args:
        conda_dependencies_file_path: a conda YAML file to begin with.

    Raises:
        UserErrorException: the file cannot be read, or is no conda file.
    """

    def __init__(
        self,
        conda_dependencies_file_path: Optional[str] = None,
        *,
        _underlying_structure: Optional[Dict[str, Any]] = None,
    ) -> None:
        self._pip: List[str] = []
        self._options: List[str] = []
        self._conda: List[str] = []
        self._channels: List[str] = []
        self._python: Optional[str] = None
        if conda_dependencies_file_path is not None:
            path = beside(conda_dependencies_file_path)
            self._read(load_yaml(path), path)
        elif _underlying_structure is not None:
            self._read(_underlying_structure, "conda dependencies")

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
        if pip_indexurl:
            result.set_pip_index_url(pip_indexurl)
        for package in _texts(pip_packages, "pip_packages"):
            result.add_pip_package(package)
        for package in _texts(conda_packages, "conda_packages"):
            result.add_conda_package(package)
        if python_version is not None:
            result.set_python_version(python_version)
        return result

    @staticmethod
    def merge_requirements(requirements: Iterable[str]) -> List[str]:
        """The requirements, each package once: the last of several counts."""
        return list({_name(each): each for each in requirements}.values())

    def add_pip_package(self, pip_package: str) -> None:
        """Asks for one more package from PyPI; one of the same name is replaced, as in v1."""
        _check_text(pip_package)
        requirement, option = requirement_or_option(pip_package.strip(), "pip package")
        if option:
            self.set_pip_option(pip_package)
        elif requirement:
            self.remove_pip_package(requirement)
            self._pip.append(requirement)

    def remove_pip_package(self, pip_package: str) -> None:
        """Asks for it no longer, whatever its version."""
        self._pip = [each for each in self._pip if _name(each) != _name(pip_package)]

    def add_conda_package(self, conda_package: str) -> None:
        """Asks for one more conda package; ``python=3.8`` sets the Python version."""
        _check_text(conda_package)
        text = conda_package.strip()
        if _name(text) == "python":
            self.set_python_version(re.sub(r"^[^\d]*", "", text[text.index("python") + 6 :]))
        elif text:
            self.remove_conda_package(text)
            self._conda.append(text)

    def remove_conda_package(self, conda_package: str) -> None:
        """Asks for it no longer, whatever its version."""
        self._conda = [each for each in self._conda if _name(each) != _name(conda_package)]

    def add_channel(self, channel: str) -> None:
        """Names a conda channel; packages come from PyPI all the same."""
        if channel not in self._channels:
            self._channels.append(channel)

    def remove_channel(self, channel: str) -> None:
        """Takes a channel's name out."""
        self._channels = [each for each in self._channels if each != channel]

    def set_pip_option(self, pip_option: str) -> None:
        """Adds an option of a requirements file, such as ``--extra-index-url https://...``."""
        _, option = requirement_or_option(pip_option.strip(), "pip option")
        if option and option not in self._options:
            self._options.append(option)

    def remove_pip_option(self, pip_option: str) -> None:
        """Takes an option out, whatever its value."""
        name = pip_option.split(None, 1)[0].split("=", 1)[0]
        self._options = [each for each in self._options if each.split(None, 1)[0] != name]

    def set_pip_index_url(self, index_url: str) -> None:
        """The index that packages come from, instead of PyPI."""
        self.remove_pip_option("--index-url")
        value = re.sub(r"^(--index-url|-i)[\s=]+", "", index_url.strip())
        self.set_pip_option(f"--index-url {value}")

    def set_pip_requirements(self, pip_requirements: Any) -> None:
        """Asks for these pip packages and no others: their texts, or a requirements file."""
        self._pip = []
        if isinstance(pip_requirements, (str, os.PathLike)):
            packages, options = read_requirements(beside(pip_requirements))
            self._options.extend(each for each in options if each not in self._options)
        else:
            packages = _texts(pip_requirements, "pip_requirements")
        for package in packages:
            self.add_pip_package(package)

    def set_python_version(self, version: str) -> None:
        """Asks for a Python version, such as ``3.8``."""
        if not re.match(r"\d+\.\d+", str(version)):
            raise UserErrorException(
                f"{version!r} is not a Python version.", hint="Write it like '3.8'."
            )
        self._python = str(version)

    def add_tensorflow_pip_package(
        self, core_type: str = "cpu", version: Optional[str] = None
    ) -> None:
        """Asks for TensorFlow."""
        self.add_pip_package("tensorflow" + (f"=={version}" if version else ""))

    add_tensorflow_conda_package = add_tensorflow_pip_package

    @property
    def pip_packages(self) -> List[str]:
        """The pip packages, as written."""
        return list(self._pip)

    @property
    def conda_packages(self) -> List[str]:
        """The conda packages, as written, without Python itself."""
        return list(self._conda)

    @property
    def conda_channels(self) -> List[str]:
        """The channels, as written."""
        return list(self._channels)

    @property
    def pip_options(self) -> List[str]:
        """The options of a requirements file."""
        return list(self._options)

    def get_python_version(self) -> Optional[str]:
        """The Python version asked for, if any."""
        return self._python

    def as_dict(self) -> Dict[str, Any]:
        """A conda file's content."""
        dependencies: List[Any] = [f"python={self._python}"] if self._python else []
        dependencies.extend(self._conda)
        if self._pip or self._options:
            dependencies.append({"pip": [*self._options, *self._pip]})
        result: Dict[str, Any] = {"name": "project_environment", "dependencies": dependencies}
        if self._channels:
            result["channels"] = list(self._channels)
        return result

    def serialize_to_string(self) -> str:
        """A conda file's text."""
        return dump_yaml(self.as_dict())

    def save_to_file(self, base_directory: str, conda_file_path: Optional[str] = None) -> str:
        """Writes a conda file and returns its path relative to the folder."""
        name = conda_file_path or "conda_dependencies.yml"
        path = beside(os.path.join(base_directory, name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(self.serialize_to_string())
        return name

    def save(self, path: Optional[str] = None) -> None:
        """Writes a conda file."""
        folder, name = os.path.split(beside(path or "conda_dependencies.yml"))
        self.save_to_file(folder, name)

    def _read(self, document: Any, where: str) -> None:
        if not isinstance(document, dict):
            raise UserErrorException("this is no conda file.", where=where)
        unknown = [str(key) for key in document if key not in _KEYS]
        if unknown:
            raise UserErrorException(
                f"a conda file has no {', '.join(unknown)}.",
                where=where,
                hint=f"It has: {', '.join(_KEYS)}.",
            )
        channels = _texts(document.get("channels"), "channels", where)
        self._channels = [str(each) for each in channels]
        dependencies = document.get("dependencies")
        for each in _texts(dependencies, "dependencies", where):
            if isinstance(each, dict) and list(each) == ["pip"]:
                for package in _texts(each["pip"], "pip", where):
                    self._add_pip_line(str(package), where)
            elif isinstance(each, str):
                self.add_conda_package(each)
            else:
                raise UserErrorException(f"{each!r} is no dependency.", where=where)

    def _add_pip_line(self, line: str, where: str) -> None:
        included = re.match(r"(?:-r|--requirement)[\s=]*(\S+)", line)
        if included:
            packages, options = read_requirements(
                os.path.join(os.path.dirname(where), included.group(1))
            )
            self._options.extend(each for each in options if each not in self._options)
            for package in packages:
                self.add_pip_package(package)
        else:
            self.add_pip_package(line)


def _name(package: str) -> str:
    found = _NAME.match(package.strip())
    return re.sub(r"[-_.]+", "-", found.group(1)).lower() if found else package


def _texts(packages: Any, name: str, file: Optional[str] = None) -> List[Any]:
    """A list that may be left out. A text is none: its letters would be packages."""
    if packages is None:
        return []
    if isinstance(packages, (str, dict)) or not isinstance(packages, Iterable):
        written = f"{name}=[{packages!r}]" if file is None else f"{name}: [{packages}]"
        raise UserErrorException(
            f"{name} must be a list, not {packages!r}.", where=file, hint=f"Write {written}."
        )
    return list(packages)


def _check_text(package: Any) -> None:
    if not isinstance(package, str):
        raise UserErrorException(f"a package must be a text such as 'six==1.16', not {package!r}.")
