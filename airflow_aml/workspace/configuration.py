"""Settings of Airflow's configuration as a process without Airflow finds them."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Mapping

SECTION = "aml"


def setting(environ: Mapping[str, str], name: str) -> str:
    """``[aml] <name>``: in the environment, else in ``airflow.cfg``; empty where neither has it."""
    text = environ.get(f"AIRFLOW__{SECTION.upper()}__{name.upper()}")
    return _in_file(environ, name) if text is None else text


def is_true(text: str) -> bool:
    """Whether a setting's text is one of those that Airflow takes for yes."""
    return text.strip().lower() in ("1", "true", "t", "yes", "y", "on")


def _in_file(environ: Mapping[str, str], name: str) -> str:
    home = environ.get("AIRFLOW_HOME") or "~/airflow"
    path = os.path.expanduser(environ.get("AIRFLOW_CONFIG") or os.path.join(home, "airflow.cfg"))
    try:
        status = os.stat(path)
    except OSError:
        return ""
    return _section(path, status.st_mtime_ns, status.st_size).get(name, "")


@lru_cache(maxsize=4)
def _section(path: str, changed: int, size: int) -> Mapping[str, str]:
    """The section in a file that was changed then: who follows a run asks again and again."""
    from configparser import Error, RawConfigParser

    parser = RawConfigParser(strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except (Error, UnicodeDecodeError):  # Airflow itself will say so
        return {}
    if not parser.has_section(SECTION):
        return {}
    return {name: text.replace("%%", "%") for name, text in parser.items(SECTION)}
