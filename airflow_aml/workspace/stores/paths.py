"""Paths inside a store: POSIX, relative, never out of it."""

from __future__ import annotations

from airflow_aml.errors import WorkspaceException


def checked(path: str, store: str) -> str:
    """The path of a file, as it was given.

    Raises:
        WorkspaceException: it is empty, absolute, or could lead out of the store.
    """
    if _leads_astray(path):
        raise WorkspaceException(
            f"{path!r} is not a path inside this store.",
            where=store,
            hint="Paths there are relative, with / between names and without . and .. in them.",
        )
    return path


def checked_prefix(prefix: str, store: str) -> str:
    """The beginning of paths, as it was given; empty means the whole store.

    Raises:
        WorkspaceException: it is absolute or could lead out of the store.
    """
    folder = prefix[:-1] if prefix.endswith("/") else prefix
    if prefix:
        checked(folder, store)
    return prefix


def checked_folder(prefix: str, store: str) -> str:
    """The same for a whole folder: empty, or with a slash at its end.

    Raises:
        WorkspaceException: it is absolute or could lead out of the store.
    """
    checked_prefix(prefix, store)
    return prefix if prefix.endswith("/") or not prefix else f"{prefix}/"


def _leads_astray(path: str) -> bool:
    padded = f"/{path}/"
    return "//" in padded or "/./" in padded or "/../" in padded or "\0" in path
