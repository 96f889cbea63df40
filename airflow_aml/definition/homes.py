"""From the workspace that a program names to the one that is opened."""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, Dict, List

from airflow_aml.errors import WorkspaceException

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home

DEFAULT_WORKSPACE = "default"
_SETTINGS = "airflow_aml.airflow.settings"
_STEP_VARIABLE = "AIRFLOW_AML_ATTEMPT"
_WORKSPACES_VARIABLE = "AIRFLOW__AML__WORKSPACES"


def workspace_name(workspace: Any) -> str:
    """The name of a workspace given as an object, as its name, or not at all."""
    return str(getattr(workspace, "name", workspace) or DEFAULT_WORKSPACE)


def home_of(workspace: Any, *, create: bool = True) -> Home:
    """Opens the workspace that a program means: as Airflow's settings say inside an Airflow, and
    as this process' environment says anywhere else.

    Args:
        create: False is for who only looks, outside an Airflow; see
            :func:`~airflow_aml.workspace.home.open_home`.

    Raises:
        WorkspaceException: it cannot be opened, or the setting is not a JSON object.
    """
    from airflow_aml.workspace.home import default_url, open_home

    name = workspace_name(workspace)
    if _inside_airflow():
        home: Home = import_module(_SETTINGS).open_workspace(name)
        return home
    return open_home(_mapped(name) or default_url(os.environ), name, create=create)


def _inside_airflow() -> bool:
    # A step's own process goes by what it was handed, even where its script imports Airflow.
    return "airflow.sdk.configuration" in sys.modules and _STEP_VARIABLE not in os.environ


def known_workspaces() -> List[str]:
    """The names that the setting ``[aml] workspaces`` maps.

    Raises:
        WorkspaceException: the setting is not a JSON object.
    """
    if _inside_airflow():
        return list(import_module(_SETTINGS).workspaces())
    return list(_mapping())


def _mapped(name: str) -> str:
    return str(_mapping().get(name) or "")


def _mapping() -> Dict[str, str]:
    text = os.environ.get(_WORKSPACES_VARIABLE) or "{}"
    try:
        return dict(json.loads(text))
    except (ValueError, TypeError):
        raise WorkspaceException(
            f"{_WORKSPACES_VARIABLE} is not a JSON object of names and URLs."
        ) from None
