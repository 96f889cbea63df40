"""What ``create`` and ``attach`` are given."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Callable, Dict, Mapping, Optional

from airflow_aml.errors import ComputeTargetException

if TYPE_CHECKING:
    from airflow_aml.workspace.computes import ComputeRecord

_SECRETS = ("access_token", "application_key", "password", "private_key_passphrase")


class ProvisioningConfiguration:
    """A cluster that is to be created.

    Raises:
        ComputeTargetException: what v1 refuses, too.
    """

    def __init__(
        self,
        *,
        vm_size: str,
        vm_priority: str,
        min_nodes: int,
        max_nodes: Optional[int],
        idle_seconds: Optional[int],
        tags: Optional[Mapping[str, str]],
        description: Optional[str],
    ) -> None:
        if max_nodes is None:
            raise ComputeTargetException("max nodes count is mandatory: give max_nodes.")
        check_nodes(min_nodes, max_nodes)
        if vm_priority.lower() not in ("dedicated", "lowpriority"):
            raise ComputeTargetException(
                f"vm_priority must be 'dedicated' or 'lowpriority', not {vm_priority!r}."
            )
        from airflow_aml.workspace.vmsizes import vm_size as known_size

        if vm_size and known_size(vm_size) is None:
            warnings.warn(
                f"the size of {vm_size!r} is not known here; it asks for nothing.", stacklevel=3
            )
        self._values: Dict[str, Any] = {
            "vm_size": vm_size or None,
            "vm_priority": vm_priority,
            "min_nodes": min_nodes,
            "max_nodes": max_nodes,
            "idle_seconds": 1800 if idle_seconds is None else idle_seconds,
            "tags": {str(key): str(value) for key, value in dict(tags or {}).items()},
            "description": description or "",
        }

    def record(self, name: str) -> ComputeRecord:
        """The compute of that name."""
        from airflow_aml.workspace.computes import ComputeRecord

        return ComputeRecord(name, **self._values)


def check_nodes(least: Any, most: Any) -> None:
    """Whether a cluster can have these limits.

    Raises:
        ComputeTargetException: they are no whole numbers, or there is nothing between them.
    """
    for name, given in (("min_nodes", least), ("max_nodes", most)):
        if isinstance(given, bool) or not isinstance(given, int):
            raise ComputeTargetException(f"{name} must be a whole number, not {given!r}.")
    if not 0 <= least <= most or not most:
        raise ComputeTargetException(
            f"max_nodes ({most}) must be at least 1 and min_nodes ({least})."
        )


class AttachConfiguration:
    """A service that is to be attached; whatever is secret in its settings is left out."""

    def __init__(self, type_name: str, settings: Mapping[str, Optional[str]]) -> None:
        self._type = type_name
        self._settings = {
            name: str(value)
            for name, value in settings.items()
            if value and not name.lower().endswith(_SECRETS)
        }
        secrets = [name for name in settings if settings[name] and name not in self._settings]
        if secrets:
            warnings.warn(
                f"{', '.join(secrets)} of a {type_name} compute is kept nowhere: what logs in there"
                " is an Airflow connection.",
                stacklevel=3,
            )

    def record(self, name: str) -> ComputeRecord:
        """The compute of that name."""
        from airflow_aml.workspace.computes import ComputeRecord

        return ComputeRecord(
            name, kind=self._type.lower(), type=self._type, settings=self._settings
        )


class ServiceConfiguration(AttachConfiguration):
    """A service that v1 makes anew; here a name for one that there is."""


def attaching(type_name: str, name: str) -> Callable[..., AttachConfiguration]:
    """v1's ``attach_configuration`` of a service whose own name is the argument ``name``."""

    def attach_configuration(
        resource_group: Optional[str] = None, *names: str, **settings: Optional[str]
    ) -> AttachConfiguration:
        """The service, by ``resource_id``, or by ``resource_group`` and its name.

        Raises:
            ComputeTargetException: neither is given, or both.
        """
        given = {"resource_group": resource_group, **dict(zip([name], names)), **settings}
        by_name = given.get("resource_group") or given.get(name)
        if bool(given.get("resource_id")) == bool(by_name):
            raise ComputeTargetException(
                f"a {type_name} compute is attached by resource_id, or by resource_group and "
                f"{name}."
            )
        if by_name and not (given.get("resource_group") and given.get(name)):
            raise ComputeTargetException(
                f"a {type_name} compute needs both resource_group and {name}."
            )
        return AttachConfiguration(type_name, given)

    return attach_configuration
