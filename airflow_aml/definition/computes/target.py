"""ComputeTarget and AmlCompute (reference 1.1)."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, Iterator, List, Mapping, Optional, Type, Union

from airflow_aml.codec import encode
from airflow_aml.definition.computes import known
from airflow_aml.definition.computes.configurations import (
    AttachConfiguration,
    ProvisioningConfiguration,
    ServiceConfiguration,
    attaching,
    check_nodes,
)
from airflow_aml.definition.computes.status import AmlComputeStatus
from airflow_aml.definition.data.near import near
from airflow_aml.definition.setup import is_loading
from airflow_aml.errors import ComputeTargetException, NotServedError, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.workspace.computes import ComputeRecord

_RESERVED = ("amlcompute", "containerinstance", "default", "local")


class ComputeTarget:
    """A compute of the workspace; ``ComputeTarget(ws, name)`` is an object of its own class.

    Raises:
        ComputeTargetException: there is none of that name, as in v1; the text lists names like it.
    """

    def __new__(cls, workspace: Any, name: str, **_: Any) -> ComputeTarget:
        """Looks the compute up."""
        return target_of(workspace, _found(workspace, name))

    workspace: Any
    _record: ComputeRecord

    @staticmethod
    def create(
        workspace: Any,
        name: str,
        provisioning_configuration: Union[ProvisioningConfiguration, ServiceConfiguration],
    ) -> ComputeTarget:
        """Makes a compute known to the workspace; nothing is rented.

        Where the site defines one of that name, that is the one which counts.

        Raises:
            UserErrorException: a reserved name, or one that no compute can have.
            ComputeTargetException: the configuration is none.
        """
        _check(name)
        kinds = (ProvisioningConfiguration, ServiceConfiguration)
        if not isinstance(provisioning_configuration, kinds):
            raise ComputeTargetException(
                f"ComputeTarget.create takes AmlCompute.provisioning_configuration(...), not "
                f"{type(provisioning_configuration).__name__}."
            )
        return _kept(workspace, provisioning_configuration.record(name))

    @staticmethod
    def attach(
        workspace: Any, name: str, attach_configuration: AttachConfiguration
    ) -> ComputeTarget:
        """Makes a service known to the workspace; what logs in there is an Airflow connection.

        Raises:
            UserErrorException: a reserved name, or one that no compute can have.
            ComputeTargetException: the configuration is none.
        """
        _check(name)
        if not isinstance(attach_configuration, AttachConfiguration):
            raise ComputeTargetException(
                "ComputeTarget.attach takes the attach_configuration(...) of a compute's class, "
                f"not {type(attach_configuration).__name__}."
            )
        return _kept(workspace, attach_configuration.record(name))

    @staticmethod
    def list(workspace: Any) -> List[ComputeTarget]:
        """All computes of the workspace."""
        return [target_of(workspace, each) for each in known.known(workspace).values()]

    @property
    def name(self) -> str:
        """Its name."""
        return self._record.name

    @property
    def type(self) -> str:
        """v1's word for what it is: ``AmlCompute``, ``Databricks``, ..."""
        return self._record.type

    @property
    def tags(self) -> Dict[str, str]:
        """Its tags."""
        return dict(self._record.tags)

    @property
    def description(self) -> str:
        """What was said of it."""
        return self._record.description

    @property
    def location(self) -> str:
        """Where it is: with the Airflow."""
        return "airflow"

    @property
    def provisioning_state(self) -> str:
        """Always ``Succeeded``: nothing has to be rented."""
        return "Succeeded"

    @property
    def provisioning_errors(self) -> List[Any]:
        """None."""
        return []

    @property
    def cluster_resource_id(self) -> Optional[str]:
        """None: nothing of Azure's is behind it; of what was attached by its id, that."""
        return self._record.settings.get("resource_id")

    @property
    def is_attached(self) -> bool:
        """Whether it is a service that was attached."""
        return self._record.type != "AmlCompute"

    def wait_for_completion(
        self, show_output: bool = False, is_delete_operation: bool = False, **_: Any
    ) -> None:
        """Returns at once: nothing has to be rented."""
        if show_output and not is_loading():
            sys.stdout.write(f"Succeeded: compute {self.name!r} is known to the workspace.\n")

    def refresh_state(self) -> None:
        """Looks again.

        Raises:
            ComputeTargetException: it is gone.
        """
        self._record = _found(self.workspace, self.name)

    def get_status(self) -> Any:
        """Its state as a text."""
        return self.provisioning_state

    @property
    def status(self) -> Any:
        """The same as :meth:`get_status`."""
        return self.get_status()

    def delete(self) -> None:
        """Forgets what a program has created; what the site defines stays."""
        known.forget(self.workspace, self.name)

    def detach(self) -> None:
        """Forgets what a program has attached."""
        known.forget(self.workspace, self.name)

    def serialize(self) -> Dict[str, Any]:
        """The compute as a dict; nothing in it is secret."""
        document: Dict[str, Any] = encode(self._record)
        return {
            **document,
            "location": self.location,
            "provisioningState": self.provisioning_state,
            "type": self.type,
        }

    @staticmethod
    def deserialize(workspace: Any, object_dict: Mapping[str, Any]) -> ComputeTarget:
        """The compute that :meth:`serialize` has told of; nothing is looked up or kept.

        Raises:
            UserErrorException: the dict is none of its.
        """
        from airflow_aml.codec import decode
        from airflow_aml.workspace.computes import ComputeRecord

        told = {"location", "provisioningState"}
        document = {name: value for name, value in object_dict.items() if name not in told}
        return target_of(workspace, decode(ComputeRecord, document))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, type={self.type!r})"


class AmlCompute(ComputeTarget):
    """A cluster: in v1 rented machines, here a name for workers, a queue or containers."""

    @staticmethod
    def provisioning_configuration(
        vm_size: str = "",
        vm_priority: str = "dedicated",
        min_nodes: int = 0,
        max_nodes: Optional[int] = None,
        idle_seconds_before_scaledown: Optional[int] = 1800,
        admin_username: Optional[str] = None,
        admin_user_password: Optional[str] = None,
        admin_user_ssh_key: Optional[str] = None,
        vnet_resourcegroup_name: Optional[str] = None,
        vnet_name: Optional[str] = None,
        subnet_name: Optional[str] = None,
        tags: Optional[Mapping[str, str]] = None,
        description: Optional[str] = None,
        **_: Any,
    ) -> ProvisioningConfiguration:
        """What a cluster is to be. Networks and logins of machines have no meaning here.

        Raises:
            ComputeTargetException: ``max_nodes`` is missing, or less than ``min_nodes``; a part of
                the network's settings is missing.
        """
        network = (vnet_resourcegroup_name, vnet_name, subnet_name)
        if any(network) and not all(network):
            raise ComputeTargetException(
                "vnet_resourcegroup_name, vnet_name and subnet_name are given together or not."
            )
        return ProvisioningConfiguration(
            vm_size=vm_size,
            vm_priority=vm_priority,
            min_nodes=min_nodes,
            max_nodes=max_nodes,
            idle_seconds=idle_seconds_before_scaledown,
            tags=tags,
            description=description,
        )

    @staticmethod
    def supported_vmsizes(
        workspace: Any = None, location: Optional[str] = None
    ) -> List[Dict[str, Any]]:
        """The machines whose names are known here."""
        from airflow_aml.workspace.vmsizes import vm_sizes

        return [
            {"name": name, "vCPUs": size.cpu, "gpus": size.gpu, "memoryGB": size.memory}
            for name, size in vm_sizes().items()
        ]

    @property
    def vm_size(self) -> str:
        """The machine that was asked for."""
        return self._record.vm_size or ""

    @property
    def vm_priority(self) -> str:
        """``dedicated`` or ``lowpriority``; it has no meaning here."""
        return self._record.vm_priority

    def get_status(self) -> AmlComputeStatus:
        """Its state, as v1 tells it."""
        return AmlComputeStatus(self._record)

    def update(
        self,
        min_nodes: Optional[int] = None,
        max_nodes: Optional[int] = None,
        idle_seconds_before_scaledown: Optional[int] = None,
    ) -> None:
        """Changes the limits of what a program has created.

        Raises:
            ComputeTargetException: the new limits are none.
        """
        given = {
            "min_nodes": min_nodes,
            "max_nodes": max_nodes,
            "idle_seconds": idle_seconds_before_scaledown,
        }
        values: Any = {name: value for name, value in given.items() if value is not None}
        changed = replace(self._record, **values)
        if changed.max_nodes is not None or changed.min_nodes:
            check_nodes(changed.min_nodes, changed.max_nodes)
        self._record = changed
        known.keep(self.workspace, self._record)

    def list_nodes(self) -> List[Dict[str, Any]]:
        """No nodes: what runs steps are Airflow's workers, which Airflow lists."""
        return []

    def detach(self) -> None:
        """v1 has no such thing for a cluster.

        Raises:
            NotServedError: always.
        """
        raise NotServedError("AmlCompute.detach is not supported; use delete.")


class DatabricksCompute(ComputeTarget):
    """A Databricks workspace."""

    attach_configuration = staticmethod(attaching("Databricks", "workspace_name"))


class DataFactoryCompute(ComputeTarget):
    """A Data Factory."""

    attach_configuration = staticmethod(attaching("DataFactory", "factory_name"))

    @staticmethod
    def provisioning_configuration(location: Optional[str] = None) -> ServiceConfiguration:
        """A Data Factory that v1 would make. Nothing is made: it is a name for one that there is.

        Args:
            location: Azure's region; kept.
        """
        return ServiceConfiguration("DataFactory", {"location": location})


class BatchCompute(ComputeTarget):
    """A Batch account."""

    attach_configuration = staticmethod(attaching("Batch", "account_name"))


_CLASSES: Dict[str, Type[ComputeTarget]] = {
    "AmlCompute": AmlCompute,
    "Databricks": DatabricksCompute,
    "DataFactory": DataFactoryCompute,
    "Batch": BatchCompute,
}


class ComputeTargets(Mapping[str, ComputeTarget]):
    """``ws.compute_targets``: all computes by name.

    Where the site has defined none, there is one under any name: it stands for the default one, as
    the name alone would, and is not ``in`` here.
    """

    def __init__(self, workspace: Any) -> None:
        self._workspace = workspace
        self._records = known.known(workspace)

    def __getitem__(self, name: str) -> ComputeTarget:
        if name not in self._records and not known.site():
            from airflow_aml.workspace.computes import ComputeRecord

            return target_of(self._workspace, ComputeRecord(name))
        return target_of(self._workspace, self._records[name])

    def __contains__(self, name: object) -> bool:
        return name in self._records

    def get(self, name: str, default: Any = None) -> Any:
        """The compute of that name, or the default."""
        return self[name] if name in self else default  # noqa: SIM401 - this is that get

    def __iter__(self) -> Iterator[str]:
        return iter(self._records)

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"ComputeTargets({', '.join(self._records)})"


def target_of(workspace: Any, record: ComputeRecord) -> ComputeTarget:
    """A compute as an object of v1's class for it."""
    target = object.__new__(_CLASSES.get(record.type, ComputeTarget))
    target.__dict__.update(workspace=workspace, _record=record)
    return target


def _found(workspace: Any, name: str) -> ComputeRecord:
    there = known.known(workspace)
    if name not in there:
        raise ComputeTargetException(
            f"ComputeTargetNotFound: Compute Target with name {name} not found in provided "
            f"workspace. {near(str(name), there)}"
        )
    return there[name]


def default_target(workspace: Any, kind: str) -> Optional[ComputeTarget]:
    """v1's ``get_default_compute_target``: the site's default compute, if it has one.

    Raises:
        ValueError: ``kind`` is neither ``CPU`` nor ``GPU``.
    """
    if kind not in ("CPU", "GPU"):
        raise ValueError(f"type must be 'CPU' or 'GPU', not {kind!r}.")
    from airflow_aml.workspace.computes import DEFAULT

    record = known.site().get(DEFAULT)
    return None if record is None else target_of(workspace, record)


def _check(name: str) -> None:
    from airflow_aml.workspace.computes import check_name

    if check_name(name).lower() in _RESERVED:
        raise UserErrorException(
            f"{name!r} is a reserved name of computes.", hint=f"So are {', '.join(_RESERVED)}."
        )


def _kept(workspace: Any, record: ComputeRecord) -> ComputeTarget:
    known.keep(workspace, record)
    return target_of(workspace, known.site().get(record.name, record))
