"""Curated environments: Azure ML's own names, as Python versions and packages.

Microsoft's images are not here and not rebuilt: a name stands for the package that it is made for,
in that release, and what such scripts import beside it. A site names others, or changes these, in
``[aml] curated_environments``.
"""

from __future__ import annotations

import json
import re
from typing import Any, Dict, Mapping, Optional, Tuple

PREFIX = "AzureML-"

_USUAL = ("numpy", "pandas", "joblib")
_LEARNING = (*_USUAL, "scikit-learn", "matplotlib", "pyarrow")

_NAMES: Dict[str, Tuple[str, ...]] = {
    "AzureML-Minimal": (),
    "AzureML-Minimal-Inference": (),
    "AzureML-Tutorial": _LEARNING,
    "AzureML-Designer": _LEARNING,
    "AzureML-Designer-Score": _LEARNING,
    "AzureML-Dask-CPU": (*_USUAL, "dask[complete]"),
}

_FAMILIES = {
    "scikit-learn": ("scikit-learn", *_USUAL, "matplotlib"),
    "sklearn": ("scikit-learn", *_USUAL, "matplotlib"),
    "pytorch": ("torch", *_USUAL),
    "acpt-pytorch": ("torch", *_USUAL),
    "tensorflow": ("tensorflow", *_USUAL),
    "lightgbm": ("lightgbm", *_USUAL, "scikit-learn"),
    "xgboost": ("xgboost", *_USUAL, "scikit-learn"),
    "chainer": ("chainer", *_USUAL),
}

_FAMILY = re.compile(r"([a-z-]+?)-(\d+(?:\.\d+)*)(?:-|$)", re.IGNORECASE)
_PYTHON = re.compile(r"-py(\d)(\d+)(?:-|$)", re.IGNORECASE)


def curated(name: str, site: Mapping[str, Any]) -> Optional[Dict[str, Any]]:
    """The document of a curated environment, or None: ``{"spec": {...}}``.

    Args:
        site: name -> ``["scikit-learn", ...]``, or
            ``{"python": "3.8", "pip": [...], "conda": [...], "image": "..."}``.
    """
    given = site.get(name)
    if given is not None:
        return {"spec": _site_spec(name, given)}
    if not name.startswith(PREFIX):
        return None
    if name in _NAMES:
        return {"spec": _spec(name, _NAMES[name])}
    found = _FAMILY.match(name[len(PREFIX) :])
    packages = _FAMILIES.get(found.group(1).lower()) if found else None
    if found is None or packages is None:
        return None
    first = f"{packages[0]}=={found.group(2)}.*"
    return {"spec": _spec(name, (first, *packages[1:]), _python_of(name))}


def curated_names(site: Mapping[str, Any]) -> Tuple[str, ...]:
    """The names that stand in a table; families with a version in their name are not listed."""
    return tuple(sorted({*_NAMES, *site}))


def site_curated(environ: Mapping[str, str]) -> Dict[str, Any]:
    """``[aml] curated_environments`` as a process without Airflow finds it.

    Raises:
        UserErrorException: it is not a JSON object.
    """
    from airflow_aml.errors import UserErrorException
    from airflow_aml.workspace.configuration import setting

    try:
        table = json.loads(setting(environ, "curated_environments").strip() or "{}")
    except ValueError as error:
        raise UserErrorException(f"[aml] curated_environments is not JSON: {error}.") from error
    if not isinstance(table, dict):
        raise UserErrorException("[aml] curated_environments must be a JSON object.")
    return table


def _spec(name: str, packages: Tuple[str, ...], python: Optional[str] = None) -> Dict[str, Any]:
    return {"name": name, "pip_packages": list(packages), "python_version": python}


def _site_spec(name: str, given: Any) -> Dict[str, Any]:
    from airflow_aml.errors import UserErrorException

    where = f"[aml] curated_environments, {name!r}"
    if isinstance(given, list):
        given = {"pip": given}
    if not isinstance(given, dict) or not set(given) <= {"python", "pip", "conda", "image"}:
        raise UserErrorException(
            "it must be a list of packages or an object with python, pip, conda, image.",
            where=where,
        )
    return {
        "name": name,
        "pip_packages": [str(each) for each in given.get("pip") or ()],
        "conda_packages": [str(each) for each in given.get("conda") or ()],
        "python_version": given.get("python"),
        "image": given.get("image"),
    }


def _python_of(name: str) -> Optional[str]:
    found = _PYTHON.search(name)
    return f"{found.group(1)}.{found.group(2)}" if found else None
