"""What a site decides about environments: ``[aml]`` in Airflow's configuration."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.configuration import setting

OWN, WORKER = "own", "worker"
CHANNEL = "conda-forge"


@dataclass(frozen=True)
class Site:
    """A site's rules.

    Attributes:
        own: whether steps that ask for packages get an environment of their own.
        curated: further environments by name, or others in place of ours.
        pythons: Python version that is asked for -> the one that is used for it.
        packages: package that is asked for -> requirement that is used for it; None: left out.
        channels: where conda packages are from that PyPI has not.
    """

    own: bool = True
    curated: Mapping[str, Any] = field(default_factory=dict)
    pythons: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[str, str | None] = field(default_factory=dict)
    channels: tuple[str, ...] = (CHANNEL,)

    @classmethod
    def read(cls, get: Callable[[str], str] | None = None) -> Site:
        """The rules as they are set.

        Args:
            get: gives a setting by name; without it, the process' environment and ``airflow.cfg``.

        Raises:
            UserErrorException: a setting is not what it must be.
        """
        get = get or (lambda name: setting(os.environ, name))
        where = (get("environments") or OWN).strip()
        if where not in (OWN, WORKER):
            raise UserErrorException(
                f"[aml] environments must be {OWN!r} or {WORKER!r}, not {where!r}."
            )
        return cls(
            own=where == OWN,
            curated=_table(get, "curated_environments"),
            pythons=_table(get, "python_versions"),
            packages=_table(get, "packages"),
            channels=tuple((get("conda_channels") or CHANNEL).replace(",", " ").split()),
        )


def _table(get: Callable[[str], str], name: str) -> dict[str, Any]:
    text = get(name).strip() or "{}"
    try:
        table = json.loads(text)
    except ValueError as error:
        raise UserErrorException(f"[aml] {name} is not JSON: {error}.") from error
    if not isinstance(table, dict):
        raise UserErrorException(f"[aml] {name} must be a JSON object, not {text}.")
    return table
