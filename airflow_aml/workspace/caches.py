"""Where this machine keeps what can be found out again: losing it costs time and nothing else."""

from __future__ import annotations

import os
from typing import Mapping, Optional

CACHE_VARIABLE = "AIRFLOW_AML_CACHE"


def cache_folder(environ: Optional[Mapping[str, str]] = None) -> str:
    """The absolute path of that folder, which need not exist.

    ``AIRFLOW_AML_CACHE`` names it; else it is where the system keeps caches of this user.
    """
    variables = os.environ if environ is None else environ
    named = variables.get(CACHE_VARIABLE)
    if named:
        return os.path.abspath(named)
    base = variables.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(os.path.abspath(base), "airflow-aml")
