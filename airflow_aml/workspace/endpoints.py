"""Endpoints: a name that stays, and the published pipelines behind it, numbered as they came.

::

    registry/endpoint/<id>.json            name and description
    registry/endpoint-name/<name>.json     which endpoint has the name; made once, so it is unique
    registry/endpoint-version/<id>/1.json  the published pipeline that is version "0", and so on
    registry/endpoint-default/<id>.json    the default version, if it is not the first
    registry/endpoint-disabled/<id>.json   there as long as it is disabled

Each fact has a document of its own: of two who change different ones at once none is lost.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Dict, Iterator, Optional

from airflow_aml.errors import ErrorResponseException, PipelineDefinitionError, UserErrorException
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.names import file_name
from airflow_aml.workspace.registry import Registry

_ENDPOINT, _NAME, _VERSION = "endpoint", "endpoint-name", "endpoint-version"
_DEFAULT, _DISABLED = "endpoint-default", "endpoint-disabled"


@dataclass(frozen=True)
class Endpoint:
    """One endpoint, as it was when it was read."""

    id: str
    name: str
    description: str


class Endpoints:
    """The endpoints of one workspace."""

    def __init__(self, home: Home) -> None:
        self._registry = Registry(home.store)

    def create(self, endpoint: Endpoint, pipeline_id: str) -> None:
        """Stores a new endpoint; it is there when its name is.

        Raises:
            PipelineDefinitionError: the name is taken.
        """
        self._refuse_taken(endpoint.name)
        self._registry.create(_VERSION, endpoint.id, {"pipeline": pipeline_id})
        self._write(endpoint)
        self._claim(endpoint.name, endpoint.id)

    def get(self, identifier: str) -> Endpoint:
        """The endpoint of that id.

        Raises:
            ErrorResponseException: there is none.
        """
        found = self._registry.try_load(_ENDPOINT, str(identifier))
        if found is None:
            raise ErrorResponseException(
                f"there is no pipeline endpoint with the id {identifier!r}."
            )
        return Endpoint(str(identifier), str(found["name"]), str(found["description"]))

    def named(self, name: str) -> Endpoint:
        """The endpoint of that name.

        Raises:
            ErrorResponseException: there is none; the text lists names like it.
        """
        try:
            found = self._registry.load(_NAME, str(name))
        except UserErrorException as error:
            raise ErrorResponseException(
                f"there is no pipeline endpoint named {name!r}.", hint=error.hint
            ) from None
        return self.get(str(found["id"]))

    def find(self, wanted: str) -> Endpoint:
        """The endpoint of that id, or else of that name.

        Raises:
            ErrorResponseException: there is none; the text lists names like it.
        """
        try:
            return self.get(wanted)
        except ErrorResponseException:
            return self.named(wanted)

    def all(self) -> Iterator[Endpoint]:
        """Every endpoint, by name."""
        for name in self._registry.names(_NAME):
            try:
                endpoint = self.named(name)
            except ErrorResponseException:  # somebody has renamed it just now
                continue
            if file_name(endpoint.name) == file_name(
                name
            ):  # else somebody was killed while renaming it
                yield endpoint

    def rename(self, endpoint: Endpoint, name: str) -> Endpoint:
        """Gives it another name, and its own free.

        Raises:
            PipelineDefinitionError: the name is taken.
        """
        if file_name(name) == file_name(endpoint.name):
            return endpoint
        self._claim(name, endpoint.id)
        renamed = Endpoint(endpoint.id, name, endpoint.description)
        self._write(renamed)
        self._forget(_NAME, endpoint.name)
        return renamed

    def add(self, identifier: str, pipeline_id: str) -> str:
        """Adds a version and returns its name."""
        return str(self._registry.create(_VERSION, identifier, {"pipeline": pipeline_id}) - 1)

    def versions(self, identifier: str) -> Dict[str, str]:
        """Version -> id of its published pipeline, in the order in which they came."""
        numbers = self._registry.versions(_VERSION, identifier)
        found = [self._registry.get(_VERSION, identifier, each) for each in numbers]
        return {str(number - 1): str(document["pipeline"]) for number, document in found}

    def default(self, identifier: str) -> str:
        """The version that is asked for by default."""
        found = self._optional(_DEFAULT, identifier)
        return "0" if found is None else str(found["version"])

    def set_default(self, identifier: str, version: str) -> None:
        """Makes a version the default one."""
        self._registry.put(_DEFAULT, identifier, {"version": version}, overwrite=True)

    def is_enabled(self, identifier: str) -> bool:
        """Whether runs may begin through it."""
        return self._optional(_DISABLED, identifier) is None

    def set_enabled(self, identifier: str, enabled: bool) -> None:
        """Lets runs begin through it, or refuses them; said twice it is the same as once."""
        if not enabled:
            self._registry.put(_DISABLED, identifier, {}, overwrite=True)
        else:
            self._forget(_DISABLED, identifier)

    def _optional(self, kind: str, identifier: str) -> Optional[Dict[str, object]]:
        try:
            return self._registry.load(kind, identifier)
        except UserErrorException:
            return None

    def _write(self, endpoint: Endpoint) -> None:
        document = {"name": endpoint.name, "description": endpoint.description}
        self._registry.put(_ENDPOINT, endpoint.id, document, overwrite=True)

    def _forget(self, kind: str, name: str) -> None:
        """Removes a document, should nobody else have done so."""
        if self._optional(kind, name) is not None:
            with suppress(UserErrorException):  # somebody else does it just now
                self._registry.remove(kind, name)

    def _refuse_taken(self, name: str) -> None:
        if self._optional(_NAME, name) is not None:
            raise _taken(name)

    def _claim(self, name: str, identifier: str) -> None:
        try:
            self._registry.put(_NAME, name, {"id": identifier})
        except UserErrorException as error:
            raise _taken(name) from error


def _taken(name: str) -> PipelineDefinitionError:
    return PipelineDefinitionError(
        "PipelineEndpoint already exists with the given name. Please choose a unique value.",
        where=f"endpoint {name!r}",
    )
