"""Secrets: ``run.get_secret`` and the workspace's key vault (reference 1.1).

The secret ``name`` is Airflow's Variable ``aml_secret_<name>``, dashes written as underscores, from
whichever backend of secrets the site has. A script asks the task that runs it; a program outside
Airflow has the environment variables that Airflow would read.
"""

from __future__ import annotations

import os
import re
from importlib import import_module
from typing import Any, Dict, List, Mapping, Optional, Sequence

from airflow_aml.definition.setup import refuse_while_loading
from airflow_aml.errors import NotServedError, UserErrorException

VARIABLE_PREFIX = "aml_secret_"

_NAME = re.compile(r"[A-Za-z0-9_-]{1,127}")
_STEP_VARIABLE = "AIRFLOW_AML_ATTEMPT"
_AIRFLOW = "airflow_aml.airflow.secrets"


def variable_of(name: str) -> str:
    """The Airflow Variable that has a secret.

    Raises:
        UserErrorException: no secret can have that name.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UserErrorException(
            f"{name!r} cannot be a secret's name: up to 127 letters, digits and dashes."
        )
    return VARIABLE_PREFIX + name.replace("-", "_")


def secret(name: str) -> str:
    """The value of a secret.

    Raises:
        UserErrorException: there is none of that name, or it cannot be looked up.
    """
    variable = variable_of(name)
    inside = _STEP_VARIABLE in os.environ
    found = _asked(name) if inside else _looked_up(name, variable)
    if found is None:
        where = "" if inside else f", or set AIRFLOW_VAR_{variable.upper()}"
        raise UserErrorException(
            f"there is no secret {name!r}.",
            hint=f"Add the Airflow Variable {variable!r} (Admin, Variables){where}.",
        )
    return found


class Keyvault:
    """The secrets of a workspace: they are Airflow's, the same for all workspaces."""

    def __init__(self, workspace: Any = None, **_: Any):
        self._workspace = workspace

    def get_secret(self, name: str) -> str:
        """The value of a secret.

        Raises:
            UserErrorException: there is none of that name.
        """
        return secret(name)

    def get_secrets(self, secrets: Sequence[str]) -> Dict[str, str]:
        """The values of several secrets by name."""
        return {name: secret(name) for name in secrets}

    def set_secret(self, name: str, value: str) -> None:
        """Keeps a secret in Airflow's database, encrypted with its Fernet key.

        Raises:
            NotServedError: Airflow is not at hand here.
            RunEnvironmentException: the file is only being loaded.
        """
        _airflow("set_secret").put(name, value)

    def set_secrets(self, secrets_batch: Mapping[str, str]) -> None:
        """Keeps several secrets."""
        for name, value in secrets_batch.items():
            self.set_secret(name, value)

    def delete_secret(self, name: str) -> None:
        """Removes a secret from Airflow's database.

        Raises:
            UserErrorException: there is none of that name.
        """
        if not _airflow("delete_secret").delete(name):
            raise UserErrorException(f"there is no secret {name!r} in Airflow's database.")

    def delete_secrets(self, secrets: Sequence[str]) -> None:
        """Removes several secrets."""
        for name in secrets:
            self.delete_secret(name)

    def list_secrets(self) -> List[Dict[str, str]]:
        """The names of the secrets in Airflow's database, each as ``{"name": ...}``."""
        return [{"name": name} for name in _airflow("list_secrets").names()]

    def __repr__(self) -> str:
        return "Keyvault(Airflow's Variables)"


def _asked(name: str) -> Optional[str]:
    from airflow_aml.runtime.secrets import SECRETS_VARIABLE, question

    path = os.environ.get(SECRETS_VARIABLE)
    try:
        if not path:
            raise OSError("nobody answers here (do its compute's 'secrets' name it?)")
        return question(path, name)
    except (OSError, ValueError) as error:
        raise UserErrorException(f"secret {name!r} could not be looked up: {error}.") from None


def _looked_up(name: str, variable: str) -> Optional[str]:
    given = os.environ.get(f"AIRFLOW_VAR_{variable.upper()}")
    if given is not None:
        return given
    try:
        ask = import_module(_AIRFLOW)
    except ImportError:
        return None
    found: Optional[str] = ask.get(name)
    return found


def _airflow(call: str) -> Any:
    refuse_while_loading(f"Keyvault.{call}")
    if _STEP_VARIABLE not in os.environ:
        try:
            return import_module(_AIRFLOW)
        except ImportError:
            pass
    raise NotServedError(
        f"Keyvault.{call} works where Airflow is, and not in a step's script.",
        hint=f"Use `airflow variables`: the secret NAME is the Variable {VARIABLE_PREFIX}NAME.",
    )
