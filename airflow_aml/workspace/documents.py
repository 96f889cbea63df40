"""JSON documents of a workspace: a reader sees all of one or none of it."""

from __future__ import annotations

import errno
import json
import os
from typing import Any, Union

from airflow_aml.errors import WorkspaceException

_NO_LINKS = (errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EMLINK)

PathLike = Union[str, "os.PathLike[str]"]


def read_json(path: PathLike) -> Any:
    """The value in that file.

    Raises:
        FileNotFoundError: there is no such file.
        WorkspaceException: the file does not hold JSON.
    """
    with open(path, "rb") as stream:
        data = stream.read()
    try:
        return json.loads(data)
    except ValueError as error:
        raise WorkspaceException(
            f"this document is damaged: {error}.", where=os.fspath(path)
        ) from error


def write_json(path: PathLike, document: Any, *, durable: bool = True) -> None:
    """Writes the document, replacing what was there in one step.

    ``durable`` waits for the disk, which what nobody reads after a power cut need not.
    """
    temporary = _write_temporary(path, document, durable)
    try:
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def create_json(path: PathLike, document: Any) -> bool:
    """Writes the document unless there is one already; of many callers at once, one gets True."""
    temporary = _write_temporary(path, document, durable=True)
    try:
        # A link, not an exclusive open: nobody can find the name with half of the text in it.
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create_without_link(path, document)
    finally:
        os.unlink(temporary)
    return True


def _create_without_link(path: PathLike, document: Any) -> bool:
    """The same where the disk knows no hard links: a reader in that moment may find it damaged."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with open(descriptor, "wb") as stream:
        stream.write(json.dumps(document).encode())
    return True


def _write_temporary(path: PathLike, document: Any, durable: bool) -> str:
    folder, name = os.path.split(os.fspath(path))
    temporary = os.path.join(folder, f".{name}.{os.getpid()}-{os.urandom(4).hex()}.tmp")
    data = json.dumps(document).encode()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(data)
            if durable:
                stream.flush()
                os.fsync(descriptor)
    except BaseException:
        os.unlink(temporary)
        raise
    return temporary
