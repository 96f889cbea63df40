"""Which computes there are: the site's, those that this file declares, those in the workspace."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, Iterable, Mapping, Sequence

from airflow_aml.codec import decode, encode
from airflow_aml.definition.engine import declaring_engine
from airflow_aml.definition.homes import home_of
from airflow_aml.definition.setup import SetupAction, declare, is_loading
from airflow_aml.errors import RunEnvironmentException

if TYPE_CHECKING:
    from airflow_aml.workspace.computes import ComputeRecord, Computes

CREATE_COMPUTE = "create_compute"
DELETE_COMPUTE = "delete_compute"

_SETTINGS = "airflow_aml.airflow.settings"
_STEP_VARIABLE = "AIRFLOW_AML_ATTEMPT"


def site() -> Computes:
    """What the site's configuration defines.

    Raises:
        WorkspaceException: the setting cannot be understood.
    """
    if "airflow.sdk.configuration" in sys.modules and _STEP_VARIABLE not in os.environ:
        found: Computes = import_module(_SETTINGS).computes()
        return found
    from airflow_aml.workspace.computes import site_computes
    from airflow_aml.workspace.configuration import setting

    return site_computes(setting(os.environ, "computes"))


def declared(actions: Iterable[SetupAction]) -> Dict[str, ComputeRecord]:
    """The computes that a file creates or attaches, whether or not it deletes them afterwards."""
    from airflow_aml.workspace.computes import ComputeRecord

    return {
        str(each.arguments["record"]["name"]): decode(ComputeRecord, each.arguments["record"])
        for each in actions
        if each.action == CREATE_COMPUTE
    }


def known(workspace: Any) -> Dict[str, ComputeRecord]:
    """All computes by name. A file that is being loaded knows the site's and its own."""
    from airflow_aml.workspace.computes import DEFAULT, find, made_computes

    ours = site()
    if is_loading():
        made: Mapping[str, ComputeRecord] = _declared_and_kept()
    else:
        made = made_computes(home_of(workspace))
    names = dict.fromkeys([*ours, *made])
    found = {name: find(name, ours, made) for name in names if name != DEFAULT}
    return {name: record for name, record in found.items() if record is not None}


def keep(workspace: Any, record: ComputeRecord) -> None:
    """Keeps a compute, or declares it where a file is only being loaded."""
    from airflow_aml.workspace.computes import save_compute

    refuse_in_steps("creates or attaches")
    if not declare(CREATE_COMPUTE, {"record": {**encode(record), "name": record.name}}):
        save_compute(home_of(workspace), record)


def forget(workspace: Any, name: str) -> None:
    """Removes a compute, or declares that."""
    from airflow_aml.workspace.computes import remove_compute

    refuse_in_steps("deletes")
    if not declare(DELETE_COMPUTE, {"name": name}):
        remove_compute(home_of(workspace), name)


def refuse_in_steps(what: str) -> None:
    """Raises inside a step.

    Raises:
        RunEnvironmentException: this is a step's script.
    """
    if _STEP_VARIABLE in os.environ:
        raise RunEnvironmentException(
            f"a step's script {what} no computes: it runs on one.",
            hint="Do it in the pipeline's file, or in the site's [aml] computes.",
        )


def _declared_and_kept() -> Dict[str, ComputeRecord]:
    actions: Sequence[SetupAction] = getattr(declaring_engine(), "setup", ())
    last = {
        str(each.arguments.get("name") or each.arguments.get("record", {}).get("name")): each.action
        for each in actions
        if each.action in (CREATE_COMPUTE, DELETE_COMPUTE)
    }
    made = declared(actions)
    return {name: made[name] for name, action in last.items() if action == CREATE_COMPUTE}
