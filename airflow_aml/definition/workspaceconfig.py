"""v1's ``config.json``: where it is looked for, what it says (reference 1.1)."""

from __future__ import annotations

import json
import os
from typing import Dict, Iterator, Mapping, Optional

from airflow_aml.errors import UserErrorException

# Kind-major, as v1 looks (reference 1.1): a `.azureml/config.json` of a parent beats a plain one.
_CONFIG_FILES = (
    ".azureml/config.json",
    ".azureml/project.json",
    "aml_config/config.json",
    "aml_config/project.json",
    "config.json",
    "project.json",
)


def find_config(start: str, file_name: Optional[str] = None) -> Optional[str]:
    """The config of a folder or of one above it; None where there is none.

    Args:
        file_name: the only name to look for; v1's by default.
    """
    for name in (file_name,) if file_name else _CONFIG_FILES:
        for folder in _upwards(start):
            candidate = os.path.join(folder, name)
            if os.path.isfile(candidate):
                return candidate
    return None


def read_config(path: str) -> Dict[str, str]:
    """What a config says; ``workspace_name`` is among it.

    Raises:
        UserErrorException: it is no JSON object with a workspace's name.
    """
    try:
        with open(path, encoding="utf-8-sig") as file:
            document: Dict[str, str] = json.load(file)
        return {"workspace_name": document["workspace_name"], **document}
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise UserErrorException(
            f"{path} is not a workspace config: it must be a JSON object with workspace_name "
            f"({type(error).__name__}: {error})."
        ) from error


def write_config(folder: str, file_name: str, document: Mapping[str, str]) -> None:
    """Writes a config into ``.azureml`` below a folder.

    Raises:
        UserErrorException: it cannot be written.
    """
    place = os.path.join(folder, ".azureml")
    try:
        os.makedirs(place, exist_ok=True)
        with open(os.path.join(place, file_name), "w", encoding="utf-8") as file:
            json.dump(document, file, indent=4)
    except OSError as error:
        raise UserErrorException(f"{place} cannot be written: {error.strerror}.") from error


def _upwards(folder: str) -> Iterator[str]:
    while True:
        yield folder
        parent = os.path.dirname(folder)
        if parent == folder:
            return
        folder = parent
