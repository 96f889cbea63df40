"""What a site configures, read when a task needs it: ``[aml]`` in Airflow's configuration."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from airflow.sdk import conf

from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace.computes import Computes, site_computes
from airflow_aml.workspace.configuration import is_true
from airflow_aml.workspace.home import Home, default_url, open_home

if TYPE_CHECKING:
    from airflow_aml.reuse.price import Price


def open_workspace(name: str) -> Home:
    """The workspace that a pipeline names; a name that no setting maps is the default one.

    Its URL may name the Airflow connection that opens it: ``abfs://my_azure@container/path``.

    Raises:
        WorkspaceException: the setting is not a JSON object, or the workspace cannot be opened.
    """
    url = (
        workspaces().get(name)
        or conf.get("aml", "workspace", fallback="")
        or default_url(os.environ)
    )
    return open_home(url, name)


def workspaces() -> dict[str, str]:
    """``[aml] workspaces``: workspace name of SDK v1 -> URL.

    Raises:
        WorkspaceException: it is not a JSON object of texts.
    """
    text = conf.get("aml", "workspaces", fallback="") or "{}"
    try:
        mapping = json.loads(text)
    except ValueError as error:
        raise WorkspaceException(f"[aml] workspaces is not JSON: {error}.") from error
    if not isinstance(mapping, dict) or not all(isinstance(url, str) for url in mapping.values()):
        raise WorkspaceException(
            '[aml] workspaces must be a JSON object such as {"team-a": "file:///srv/a"}.'
        )
    return mapping


def computes() -> Computes:
    """``[aml] computes``: where steps run, by the names that pipelines use.

    Raises:
        WorkspaceException: the setting cannot be understood.
    """
    return site_computes(conf.get("aml", "computes", fallback="") or "")


def scratch() -> Path:
    """The folder that holds the working copies of running steps."""
    configured = conf.get("aml", "scratch", fallback="")
    return Path(configured or tempfile.gettempdir(), "airflow-aml")


def mlflow_tracking_uri() -> str:
    """Where runs are shown in MLflow; empty for nowhere."""
    configured = conf.get("aml", "mlflow_tracking_uri", fallback="")
    return configured or os.environ.get("MLFLOW_TRACKING_URI", "")


def workspace_page() -> str:
    """The address under which the default workspace's folder is served; empty for nowhere."""
    address = conf.get("aml", "workspace_url", fallback="").strip().rstrip("/")
    return address if address.startswith(("http://", "https://")) else ""


def price_per_hour() -> Price | None:
    """What an hour of computing costs; None where nobody has said so.

    Raises:
        WorkspaceException: the setting is no price.
    """
    from airflow_aml.reuse.price import price

    return price(conf.get("aml", "price_per_hour", fallback="") or "")


def strict_parameters() -> bool:
    """Whether REST refuses parameters that a pipeline does not have, which v1 ignores."""
    return is_true(conf.get("aml", "strict_parameters", fallback="") or "")


def environment_setting(name: str) -> str:
    """One of the settings that say how environments are made."""
    return conf.get("aml", name, fallback="") or ""


def cache_bytes() -> int:
    """What this machine's cache of remote files may hold; 0 for the default.

    Raises:
        WorkspaceException: the setting is not a number of bytes.
    """
    text = conf.get("aml", "cache_bytes", fallback="") or "0"
    try:
        count = int(text)
    except ValueError:
        count = -1
    if count < 0:
        raise WorkspaceException(f"[aml] cache_bytes must be a number of bytes, not {text!r}.")
    return count
