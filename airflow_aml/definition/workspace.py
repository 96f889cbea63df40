"""Workspace: where a pipeline belongs (reference 1.1)."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

from airflow_aml.definition.datastore import Datastore, Datastores
from airflow_aml.definition.homes import DEFAULT_WORKSPACE, known_workspaces
from airflow_aml.definition.origin import defining_folder
from airflow_aml.definition.setup import is_loading
from airflow_aml.definition.workspaceconfig import find_config, read_config, write_config
from airflow_aml.errors import NotServedError, UserErrorException
from airflow_aml.runtime.hidden import note_run

if TYPE_CHECKING:
    from airflow_aml.definition.computes.target import ComputeTarget, ComputeTargets
    from airflow_aml.definition.dataset import Datasets
    from airflow_aml.definition.environment import Environment
    from airflow_aml.definition.experiment import Experiment
    from airflow_aml.definition.keyvault import Keyvault
    from airflow_aml.definition.model import Model
    from airflow_aml.definition.runs.context import Run

__all__ = ["DEFAULT_WORKSPACE", "Workspace"]

_NAME = re.compile(r"^[A-Za-z0-9][\w-]{1,32}\Z", re.ASCII)


class Workspace:
    """A named place that keeps runs, data and models.

    The name is looked up in Airflow's setting ``[aml] workspaces``; one that is not there is the
    default workspace, ``[aml] workspace``. v1's other identifiers are kept and have no effect.
    """

    def __init__(
        self,
        subscription_id: Optional[str] = None,
        resource_group: Optional[str] = None,
        workspace_name: Optional[str] = None,
        auth: Any = None,
        sku: str = "basic",
        tags: Optional[Mapping[str, str]] = None,
        **_: Any,
    ):
        name = workspace_name or DEFAULT_WORKSPACE
        if not _NAME.match(name):
            raise UserErrorException(
                f"{name!r} cannot be a workspace's name: 2 to 33 letters, digits, dashes and "
                "underscores, the first a letter or digit."
            )
        self.name = name
        self.subscription_id = subscription_id or ""
        self.resource_group = resource_group or ""
        self.location = "airflow"
        self.sku = sku
        self.tags: Dict[str, str] = dict(tags or {})

    @staticmethod
    def from_config(
        path: Optional[str] = None,
        auth: Any = None,
        _logger: Any = None,
        _file_name: Optional[str] = None,
    ) -> Workspace:
        """The workspace that a ``config.json`` names, looked for upwards as v1 looks.

        Args:
            path: the file, or the folder to start at; the defining file's folder when None, and
                then a missing config means the default workspace.

        Raises:
            UserErrorException: ``path`` was given and no config is there or above, or it is not
                a JSON object.
        """
        if path is not None and os.path.isfile(path):
            return _of_config(path)
        start = os.path.abspath(path or defining_folder())
        found = find_config(start, _file_name)
        if found is not None:
            return _of_config(found)
        if path is None:
            return Workspace()
        raise UserErrorException(
            f"config.json could not be found in {start!r} or its parent folders."
        )

    @staticmethod
    def get(
        name: str,
        auth: Any = None,
        subscription_id: Optional[str] = None,
        resource_group: Optional[str] = None,
        **_: Any,
    ) -> Workspace:
        """The workspace of that name."""
        return Workspace(subscription_id, resource_group, name)

    @staticmethod
    def create(
        name: str,
        auth: Any = None,
        subscription_id: Optional[str] = None,
        resource_group: Optional[str] = None,
        location: Optional[str] = None,
        create_resource_group: bool = True,
        sku: str = "basic",
        tags: Optional[Mapping[str, str]] = None,
        **_: Any,
    ) -> Workspace:
        """The workspace of that name: its folder is made when something is first kept there."""
        return Workspace(subscription_id, resource_group, name, sku=sku, tags=tags)

    @staticmethod
    def list(
        subscription_id: Optional[str] = None,
        auth: Any = None,
        resource_group: Optional[str] = None,
    ) -> Dict[str, List[Workspace]]:
        """The workspaces that the setting ``[aml] workspaces`` names, and the default one."""
        names = {DEFAULT_WORKSPACE, *known_workspaces()}
        return {name: [Workspace(subscription_id, resource_group, name)] for name in sorted(names)}

    def write_config(self, path: Optional[str] = None, file_name: Optional[str] = None) -> None:
        """Writes ``.azureml/config.json`` below a folder, for ``from_config``.

        While a file is only being loaded nothing is written.

        Raises:
            UserErrorException: it cannot be written.
        """
        if is_loading():
            return
        document = {
            "subscription_id": self.subscription_id,
            "resource_group": self.resource_group,
            "workspace_name": self.name,
        }
        write_config(path or defining_folder(), file_name or "config.json", document)

    def get_details(self) -> Dict[str, Any]:
        """What there is to say of a workspace, under v1's keys."""
        return {
            "name": self.name,
            "friendlyName": self.name,
            "location": self.location,
            "sku": self.sku,
            "tags": dict(self.tags),
        }

    @classmethod
    def of_run(cls, name: str) -> Workspace:
        """The workspace that a run belongs to, under the name that the run's pipeline gave it."""
        workspace = cls()
        workspace.name = name or DEFAULT_WORKSPACE
        return workspace

    def get_default_datastore(self) -> Datastore:
        """The default datastore: ``workspaceblobstore`` unless another was set."""
        return Datastore(self)

    def set_default_datastore(self, name: str) -> None:
        """Makes a registered datastore the default one.

        Raises:
            UserErrorException: there is none of that name; the text lists names like it.
        """
        Datastore(self, name).set_as_default()

    def get_default_keyvault(self) -> Keyvault:
        """The secrets: Airflow's, the same for all workspaces."""
        from airflow_aml.definition.keyvault import Keyvault

        return Keyvault(self)

    @property
    def datastores(self) -> Datastores:
        """All datastores by name."""
        return Datastores(self)

    @property
    def datasets(self) -> Datasets:
        """The latest versions of all registered datasets by name."""
        from airflow_aml.definition.dataset import Datasets

        return Datasets(self)

    @property
    def compute_targets(self) -> ComputeTargets:
        """All computes by name."""
        from airflow_aml.definition.computes.target import ComputeTargets

        return ComputeTargets(self)

    def get_default_compute_target(
        self,
        type: str,  # noqa: A002 - v1's name
    ) -> Optional[ComputeTarget]:
        """The site's default compute; None where it has set none.

        Raises:
            ValueError: ``type`` is neither ``CPU`` nor ``GPU``.
        """
        from airflow_aml.definition.computes.target import default_target

        return default_target(self, type)

    @property
    def models(self) -> Dict[str, Model]:
        """The latest versions of all registered models by name."""
        from airflow_aml.definition.model import Model

        return {model.name: model for model in Model.list(self, latest=True)}

    @property
    def environments(self) -> Dict[str, Environment]:
        """The registered and the curated environments by name."""
        from airflow_aml.definition.environment import Environment

        return Environment.list(self)

    @property
    def experiments(self) -> Dict[str, Experiment]:
        """The experiments that have runs, by name."""
        from airflow_aml.definition.experiment import Experiment
        from airflow_aml.definition.homes import home_of
        from airflow_aml.workspace.runs import heads

        note_run("*")
        names = sorted({head.experiment for head in heads(home_of(self))})
        return {name: Experiment.of_run(self, name) for name in names}

    def get_run(self, run_id: str) -> Run:
        """The run of that id, as ``Run.get``.

        Raises:
            UserErrorException: the workspace has no such run.
        """
        from airflow_aml.definition.runs.finding import find

        return find(self, run_id)

    def __getattr__(self, name: str) -> Any:
        if name in _PRIVATE:
            return getattr(self, _PRIVATE[name])
        if name in _NEVER:
            raise NotServedError(f"Workspace.{name} is not served: {_NEVER[name]}")
        raise AttributeError(f"'Workspace' object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"Workspace(name={self.name!r})"


_PRIVATE = {
    "_resource_group": "resource_group",
    "_subscription_id": "subscription_id",
    "_workspace_name": "name",
}
"""Names of v1's own, private as they are, that programs use."""

_NEVER = {
    "delete": "nothing here removes a workspace; remove its folder.",
    "images": "images of models are not made here.",
    "get_mlflow_tracking_uri": "[aml] mlflow_tracking_uri names the site's MLflow.",
    "linked_services": "Airflow's connections are what opens other services.",
    "service_context": "it is the inside of Azure's client.",
    "sync_keys": "a site sets the keys of its stores in Airflow's connections.",
    "update": "a workspace has nothing to be updated.",
    "webservices": "models are kept and versioned here, not deployed.",
}


def _of_config(path: str) -> Workspace:
    document = read_config(path)
    try:
        return Workspace(
            document.get("subscription_id"),
            document.get("resource_group"),
            document["workspace_name"],
        )
    except TypeError as error:
        raise UserErrorException(f"{path} is not a workspace config: {error}.") from error
