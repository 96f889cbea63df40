"""Setup: what a program does before its runs, as data.

While a file is only being loaded, registering and uploading are *declared*: each becomes a
:class:`SetupAction`, which the file's declarations collect in order and the first task of every run
carries out (``applying.py``). Elsewhere the same calls act at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, Mapping

from airflow_aml.codec import encode
from airflow_aml.definition.engine import declaring_engine
from airflow_aml.errors import RunEnvironmentException

REGISTER_DATASTORE = "register_datastore"
SET_DEFAULT_DATASTORE = "set_default_datastore"
UPLOAD_FOLDER = "upload_folder"
UPLOAD_FILES = "upload_files"
REGISTER_DATASET = "register_dataset"
REGISTER_ENVIRONMENT = "register_environment"
REGISTER_MODEL = "register_model"


@dataclass(frozen=True)
class SetupAction:
    """One thing to do before the steps of a run.

    Attributes:
        action: one of this module's constants.
        arguments: JSON values; local paths are relative to the defining file's folder.
        secret: of a datastore that is registered with a key; in no text of this object.
    """

    action: str
    arguments: Dict[str, Any]
    secret: Dict[str, str] = field(default_factory=dict, repr=False)

    def to_dict(self) -> Dict[str, Any]:
        """A JSON-ready dict, the secret left out."""
        return {"action": self.action, "arguments": encode(self.arguments)}


def is_loading() -> bool:
    """Whether a file is only being loaded just now, so that nothing may be read or done."""
    return getattr(declaring_engine(), "prepare", None) is not None


def declare(action: str, arguments: Mapping[str, Any], secret: Mapping[str, str] = {}) -> bool:
    """Notes an action where a file is only being loaded; elsewhere returns False."""
    prepare = getattr(declaring_engine(), "prepare", None)
    if prepare is None:
        return False
    prepare(SetupAction(action, dict(arguments), dict(secret)))
    return True


def refuse_while_loading(what: str) -> None:
    """Raises where a file is only being loaded.

    Raises:
        RunEnvironmentException: always there.
    """
    if is_loading():
        raise RunEnvironmentException(
            f"{what} reads or changes data, and this file is only being loaded: nothing runs yet.",
            hint="Do it in a step's script, or in a program of its own.",
        )
