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
        return parse_json(stream.read(), os.fspath(path))


def parse_json(data: bytes, where: str) -> Any:
    """The value that these bytes of a document hold; ``where`` names it in an error.

    Raises:
        WorkspaceException: they are not JSON.
    """
    try:
        return json.loads(data)
    except ValueError as error:
        raise WorkspaceException(f"this document is damaged: {error}.", where=where) from error


def write_json(path: PathLike, document: Any, *, durable: bool = True) -> None:
    """Writes the document, replacing what was there in one step.

    ``durable`` waits for the disk, which what nobody reads after a power cut need not.
    """
    write_bytes(path, json.dumps(document).encode(), durable=durable)


def create_json(path: PathLike, document: Any) -> bool:
    """Writes the document unless there is one already; of many callers at once, one gets True."""
    return create_bytes(path, json.dumps(document).encode())


def write_bytes(path: PathLike, data: bytes, *, durable: bool = True) -> None:
    """Writes a small file, replacing what was there in one step."""
    temporary = _write_temporary(path, data, durable)
    try:
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def create_bytes(path: PathLike, data: bytes, *, durable: bool = True) -> bool:
    """Writes a small file unless there is one already; of many callers at once, one gets True."""
    temporary = _write_temporary(path, data, durable)
    try:
        # A link, not an exclusive open: nobody can find the name with half of the text in it.
        os.link(temporary, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _create_without_link(path, data)
    finally:
        os.unlink(temporary)
    return True


def _create_without_link(path: PathLike, data: bytes) -> bool:
    """The same where the disk knows no hard links: a reader in that moment may find it damaged."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with open(descriptor, "wb") as stream:
        stream.write(data)
    return True


def temporary_name(path: str) -> str:
    """A new name beside ``path``, for what will replace it; :func:`is_temporary` knows it again."""
    folder, name = os.path.split(path)
    # Cut short: the name and what is added to it must not be longer than a disk allows.
    return os.path.join(folder, f".{name[:40]}.{os.getpid()}-{os.urandom(4).hex()}.tmp")


def is_temporary(name: str) -> bool:
    """Whether a file has such a name: half-written, or left behind by a process that was killed."""
    if not (name.startswith(".") and name.endswith(".tmp")):
        return False
    process, dash, random = name[:-4].rpartition(".")[2].partition("-")
    return bool(dash) and process.isdigit() and len(random) == 8


def _write_temporary(path: PathLike, data: bytes, durable: bool) -> str:
    temporary = temporary_name(os.fspath(path))
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
