"""From the workspace that a program names to the one that is opened."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from airflow_aml.errors import WorkspaceException

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home

DEFAULT_WORKSPACE = "default"
_WORKSPACES_VARIABLE = "AIRFLOW__AML__WORKSPACES"


def workspace_name(workspace: Any) -> str:
    """The name of a workspace given as an object, as its name, or not at all."""
    return str(getattr(workspace, "name", workspace) or DEFAULT_WORKSPACE)


def home_of(workspace: Any) -> Home:
    """Opens the workspace that a program means, as this process' environment says where it is.

    Raises:
        WorkspaceException: it cannot be opened, or the setting is not a JSON object.
    """
    from airflow_aml.workspace import credentials
    from airflow_aml.workspace.home import default_url, open_home

    name = workspace_name(workspace)
    url = _mapped(name) or default_url(os.environ)
    return open_home(url, name, credentials.handed(url))


def _mapped(name: str) -> str:
    text = os.environ.get(_WORKSPACES_VARIABLE) or "{}"
    try:
        return str(json.loads(text).get(name) or "")
    except (ValueError, AttributeError):
        raise WorkspaceException(
            f"{_WORKSPACES_VARIABLE} is not a JSON object of names and URLs."
        ) from None
