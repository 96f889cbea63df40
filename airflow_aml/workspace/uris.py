"""Local paths as ``file:`` URIs and back."""

from __future__ import annotations

import os
from typing import Union

from airflow_aml.errors import NotServedError, WorkspaceException


def path_of_uri(uri: str) -> str:
    """The local path that a ``file:`` URI names.

    Raises:
        NotServedError: it is another kind of URI.
        WorkspaceException: it names another machine, or no absolute path.
    """
    from urllib.parse import unquote_to_bytes

    scheme, separator, rest = uri.partition(":")
    if not separator or scheme.lower() != "file":
        raise NotServedError(f"{uri!r} is not a file: URI.")
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host not in ("", "localhost"):
            raise WorkspaceException(
                f"{uri!r} names the machine {host!r}.",
                hint="A file: URI of this machine has three slashes: file:///folder.",
            )
        rest = slash + path
    if not rest.startswith("/"):
        raise WorkspaceException(f"{uri!r} holds no absolute path.")
    return os.fsdecode(unquote_to_bytes(rest))


def uri_of_path(path: Union[str, os.PathLike[str]]) -> str:
    """The ``file:`` URI of an absolute local path; :func:`path_of_uri` gives the path back."""
    from urllib.parse import quote_from_bytes

    return "file://" + quote_from_bytes(os.fsencode(path), safe="/~")
