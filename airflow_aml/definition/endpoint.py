"""PipelineEndpoint: one address for a published pipeline and its successors (reference 2.12)."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Union

from airflow_aml.definition.names import check_mapping, warn_ignored
from airflow_aml.definition.pipeline import Pipeline
from airflow_aml.definition.published import (
    BASE,
    PublishedPipeline,
    opened,
    service_address,
    workspace_of,
)
from airflow_aml.definition.setup import is_loading, refuse_while_loading
from airflow_aml.errors import PipelineDefinitionError, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.runs.pipelinerun import PipelineRun
    from airflow_aml.definition.workspace import Workspace
    from airflow_aml.workspace.endpoints import Endpoint, Endpoints

AnyPipeline = Union[Pipeline, PublishedPipeline]


class PipelineEndpoint:
    """Published pipelines behind one name: callers keep its address while versions move.

    Attributes:
        id: made when it was published.
        description: free text.
    """

    def __init__(self, workspace: Workspace, endpoint: Endpoint):
        self.workspace = workspace
        self.id = endpoint.id
        self.description = endpoint.description
        self._endpoint = endpoint

    @staticmethod
    def publish(
        workspace: Any, name: str, description: str, pipeline: AnyPipeline, **_: Any
    ) -> PipelineEndpoint:
        """A new endpoint, with that pipeline as version "0"; a ``Pipeline`` is published first.

        While a file is only being loaded the pipeline is declared, and there is no endpoint.

        Raises:
            PipelineDefinitionError: the name is taken, or it is no pipeline.
        """
        from uuid import uuid4

        from airflow_aml.workspace.endpoints import Endpoint

        workspace = workspace_of(workspace)
        _check_name(name)
        if is_loading():
            from airflow_aml.definition.runs.declaredendpoint import DeclaredEndpoint

            declared = DeclaredEndpoint(workspace, name, description or "")
            declared.add(pipeline)
            return declared
        published = _published(pipeline, name)
        endpoint = Endpoint(str(uuid4()), name, description or "")
        _endpoints(workspace).create(endpoint, published.id)
        return PipelineEndpoint(workspace, endpoint)

    @staticmethod
    def get(
        workspace: Any,
        id: Optional[str] = None,  # noqa: A002 - v1's name
        name: Optional[str] = None,
        **_: Any,
    ) -> PipelineEndpoint:
        """The endpoint of that id, or of that name; nothing is looked up while a file is loaded.

        Raises:
            ErrorResponseException: there is none.
        """
        workspace = workspace_of(workspace)
        if id is None and name is None:
            raise PipelineDefinitionError("Please, enter either id or name of PipelineEndpoint.")
        if is_loading():
            from airflow_aml.definition.runs.declaredendpoint import DeclaredEndpoint

            return DeclaredEndpoint(workspace, str(name or id))
        known = _endpoints(workspace)
        found = known.get(id) if id is not None else known.named(str(name))
        return PipelineEndpoint(workspace, found)

    @staticmethod
    def list(
        workspace: Any, active_only: bool = True, max_results: int = 100, **_: Any
    ) -> List[PipelineEndpoint]:
        """The endpoints of a workspace, by name; also the disabled ones without ``active_only``."""
        refuse_while_loading("PipelineEndpoint.list")
        workspace = workspace_of(workspace)
        known = _endpoints(workspace)
        found = [each for each in known.all() if not active_only or known.is_enabled(each.id)]
        return [PipelineEndpoint(workspace, each) for each in found[:max_results]]

    @property
    def name(self) -> str:
        """Unique in its workspace."""
        return self._endpoint.name

    @property
    def status(self) -> str:
        """``Active`` or ``Disabled``, as of now."""
        return "Active" if self._all.is_enabled(self.id) else "Disabled"

    @property
    def default_version(self) -> str:
        """The version that runs where none is asked for."""
        return self._all.default(self.id)

    @property
    def endpoint(self) -> str:
        """The address that starts a run through it over REST.

        Where this program knows no Airflow nobody answers there, which a warning says.
        """
        address = service_address(self.workspace)
        return f"{address}/PipelineRuns/PipelineEndpointSubmit/Id/{self.id}"

    @property
    def swaggerurl(self) -> str:
        """The address of the document that describes the calls (OpenAPI).

        Raises:
            UserErrorException: this program knows no Airflow.
        """
        address = service_address(self.workspace)
        return address[: address.index(_CALLS)] + _DESCRIBED

    def add(self, pipeline: AnyPipeline) -> str:
        """Adds a version, and returns it.

        Raises:
            PipelineDefinitionError: it has that pipeline already, or it is none.
        """
        published = _published(pipeline, self.name)
        if published.id in self._versions.values():
            raise PipelineDefinitionError(
                f"published pipeline {published.id} is in this endpoint already.",
                where=f"endpoint {self.name!r}",
            )
        return self._all.add(self.id, published.id)

    def add_default(self, pipeline: AnyPipeline) -> str:
        """Adds a version, makes it the default one, and returns it."""
        version = self.add(pipeline)
        self._all.set_default(self.id, version)
        return version

    def set_default(self, pipeline: PublishedPipeline) -> None:
        """Makes the version of that pipeline the default one.

        Raises:
            PipelineDefinitionError: it has no such version.
        """
        wanted = getattr(pipeline, "id", None)
        for version, pipeline_id in self._versions.items():
            if pipeline_id == wanted:
                self._all.set_default(self.id, version)
                return
        raise PipelineDefinitionError(
            f"{pipeline!r} is not in this endpoint; add() adds it.", where=f"endpoint {self.name!r}"
        )

    def set_default_version(self, version: str) -> None:
        """Makes that version the default one.

        Raises:
            PipelineDefinitionError: it has no such version; versions are texts: ``"1"``.
        """
        self._pipeline_id(version)
        self._all.set_default(self.id, version)

    def get_default_version(self) -> str:
        """The same as ``default_version``."""
        return self.default_version

    def get_pipeline(self, version: Optional[str] = None) -> PublishedPipeline:
        """The published pipeline of that version, or of the default one."""
        return PublishedPipeline.get(self.workspace, self._pipeline_id(version))

    def list_versions(self) -> List[str]:
        """Its versions, in the order in which they came."""
        return [*self._versions]

    def list_pipelines(self, active_only: bool = True) -> List[PublishedPipeline]:
        """The published pipelines behind it, in the order of their versions."""
        found = [PublishedPipeline.get(self.workspace, each) for each in self._versions.values()]
        return [each for each in found if not active_only or each.status == "Active"]

    @property
    def pipeline_version_list(self) -> List[PublishedPipeline]:
        """The same, with the disabled ones."""
        return self.list_pipelines(active_only=False)

    def set_name(self, name: str) -> None:
        """Gives it another name.

        Raises:
            PipelineDefinitionError: the name is taken.
        """
        _check_name(name)
        self._endpoint = self._all.rename(self._all.get(self.id), name)

    def enable(self) -> None:
        """Lets runs begin through it again."""
        self._all.set_enabled(self.id, True)

    def disable(self) -> None:
        """Refuses runs through it, and hides it from lists."""
        self._all.set_enabled(self.id, False)

    def archive(self) -> None:
        """Disables it, and gives its name free."""
        from uuid import uuid4

        self.disable()
        self.set_name(str(uuid4()))

    def reactivate(self, name: str) -> None:
        """Brings an archived one back under that name.

        Raises:
            PipelineDefinitionError: the name is taken.
        """
        self.set_name(name)
        self.enable()

    def submit(
        self,
        experiment_name: str,
        pipeline_parameters: Optional[Mapping[str, Any]] = None,
        _workflow_provider: Any = None,
        _service_endpoint: Any = None,
        parent_run_id: Optional[str] = None,
        pipeline_version: Optional[str] = None,
        **others: Any,
    ) -> PipelineRun:
        """Starts a run of a version, as :meth:`PublishedPipeline.submit`.

        Raises:
            UserErrorException: the endpoint or that version is disabled.
            PipelineDefinitionError: it has no such version.
        """
        warn_ignored("PipelineEndpoint.submit", others)
        if parent_run_id is not None:
            warnings.warn("submit: parent_run_id= has no effect.", stacklevel=2)
        given = check_mapping("pipeline_parameters=", pipeline_parameters)
        if self.status != "Active":
            raise UserErrorException(
                "Status must be Active, its Disabled",
                where=f"endpoint {self.name!r}",
                hint="enable() lets runs begin through it again.",
            )
        return self.get_pipeline(pipeline_version).submit(self.workspace, experiment_name, given)

    def _pipeline_id(self, version: Optional[str]) -> str:
        wanted = self.default_version if version is None else version
        if not isinstance(wanted, str) or wanted not in self._versions:
            known = ", ".join(map(repr, self._versions))
            raise PipelineDefinitionError(
                f"there is no version {wanted!r}.",
                where=f"endpoint {self.name!r}",
                hint=f"Its versions, which are texts: {known}.",
            )
        return self._versions[wanted]

    @property
    def _versions(self) -> Dict[str, str]:
        return self._all.versions(self.id)

    @property
    def _all(self) -> Endpoints:
        return _endpoints(self.workspace)

    def __repr__(self) -> str:
        return f"PipelineEndpoint(name={self.name!r}, id={self.id!r})"


_CALLS = BASE[: BASE.index("/subscriptions/")]
_DESCRIBED = "/aml/openapi.json"


def _endpoints(workspace: Workspace) -> Endpoints:
    from airflow_aml.workspace.endpoints import Endpoints

    return Endpoints(opened(workspace))


def _published(pipeline: Any, name: str) -> PublishedPipeline:
    if isinstance(pipeline, PublishedPipeline):
        return pipeline
    if not isinstance(pipeline, Pipeline):
        raise PipelineDefinitionError(
            "pipeline should be either type Pipeline or PublishedPipeline, "
            f"not {type(pipeline).__name__}."
        )
    from datetime import datetime, timezone

    now = datetime.now(timezone.utc)
    return pipeline.publish(name=f"{name}-{now:%m-%d-%Y-%H-%M}-Pipeline")


def _check_name(name: Any) -> None:
    if not isinstance(name, str) or not name.strip():
        raise PipelineDefinitionError(f"an endpoint's name is a text, not {name!r}.")
