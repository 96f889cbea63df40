"""Digests, written ``<algorithm>:<hex>``.

Content is hashed with BLAKE3 where that package is installed and SHA-256 elsewhere; the name says
which. Records (a manifest, a snapshot) are always SHA-256 over an encoding in which every part
says its type and length, so no two records share a text.
"""

from __future__ import annotations

import os
from typing import Any, Iterable, List, Optional, Sequence, Tuple, Union

BUFFER_SIZE = 1 << 20

_RECORD_HEADER = b"airflow_aml record 1\n"

Part = Union[None, bool, int, str, bytes, Sequence[Any]]
"""What a record is made of; a sequence holds parts again."""

AnyPath = Union[str, bytes, "os.PathLike[str]"]


def digest_bytes(data: bytes, algorithm: Optional[str] = None) -> str:
    """The digest of some bytes."""
    name, hasher = _hasher(algorithm)
    hasher.update(data)
    return f"{name}:{hasher.hexdigest()}"


def digest_file(
    path: AnyPath, algorithm: Optional[str] = None, buffer: Optional[bytearray] = None
) -> str:
    """The digest of a file's content; pass one ``buffer`` along when hashing many."""
    return measure_file(path, algorithm, buffer)[0]


def measure_file(
    path: AnyPath, algorithm: Optional[str] = None, buffer: Optional[bytearray] = None
) -> Tuple[str, int]:
    """The digest of a file's content and the number of bytes that it is over."""
    name, hasher = _hasher(algorithm)
    view = memoryview(bytearray(BUFFER_SIZE) if buffer is None else buffer)
    size = 0
    with open(path, "rb", buffering=0) as stream:
        while True:
            count = stream.readinto(view)
            if not count:
                return f"{name}:{hasher.hexdigest()}", size
            hasher.update(view[:count])
            size += count


def digest_record(parts: Sequence[Part]) -> str:
    """The digest of a record. Its first parts say by convention what it is and of which version."""
    from hashlib import sha256

    hasher = sha256(_RECORD_HEADER + b"l%d:" % len(parts))
    for part in parts:
        hasher.update(_encoded(part))
    return f"sha256:{hasher.hexdigest()}"


def table_names(algorithm: str, names: Iterable[bytes]) -> List[bytes]:
    """The names of a long table's rows, UTF-8, as :func:`digest_table` takes them."""
    # Of algorithms with 32 bytes, which come as 64 signs.
    middle = b"s%d:%b:" % (len(algorithm) + 65, algorithm.encode())
    return [b"l2:s%d:%b%b" % (len(name), name, middle) for name in names]


def digest_table(head: Sequence[Part], names: Sequence[bytes], digests: Iterable[bytes]) -> str:
    """The digest of a record: its first parts, then (name, ``<algorithm>:<digest>``) pairs.

    The same as :func:`digest_record` gives, sooner, and in two parts: the names may be known first.

    Args:
        head: the record's first parts.
        names: what :func:`table_names` makes of them.
        digests: in hexadecimal.
    """
    from hashlib import sha256

    hasher = sha256(_RECORD_HEADER + b"l%d:" % (len(head) + len(names)))
    for part in head:
        hasher.update(_encoded(part))
    hasher.update(b"".join([signs for row in zip(names, digests) for signs in row]))
    return f"sha256:{hasher.hexdigest()}"


def _encoded(part: Part) -> bytes:
    if isinstance(part, str):
        data = part.encode()
        return b"s%d:%b" % (len(data), data)
    if isinstance(part, bytes):
        return b"b%d:%b" % (len(part), part)
    if part is None:
        return b"n"
    if isinstance(part, bool):
        return b"t" if part else b"f"
    if isinstance(part, int):
        return b"i%d;" % part
    if isinstance(part, (tuple, list)):
        return b"l%d:" % len(part) + b"".join(_encoded(each) for each in part)
    raise TypeError(f"a record cannot hold a {type(part).__name__}")


def _hasher(algorithm: Optional[str]) -> Tuple[str, Any]:
    if algorithm in (None, "blake3"):
        from importlib import import_module

        try:
            return "blake3", import_module("blake3").blake3()
        except ImportError:
            if algorithm is not None:
                raise
    import hashlib

    name = algorithm or "sha256"
    return name, hashlib.new(name)
