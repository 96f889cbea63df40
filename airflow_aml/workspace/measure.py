"""Reading files: the digest of each one's bytes, and the stat that belongs to these bytes.

A program as well: ``python measure.py ALGORITHM [FOLDER]`` does it for the process that writes file
names to its standard input (:mod:`~airflow_aml.workspace.hashing`), until that ends. So it imports
nothing of this package, and of the standard library only what starts fast.
"""

from __future__ import annotations

import os
import struct
import sys
from operator import attrgetter

TYPE_CHECKING = False
if TYPE_CHECKING:  # half of a helper's start would be this import
    from typing import IO, Any, Callable, List, Sequence, Tuple

FIELDS = 6
"""Numbers that stand for one file's stat: mode, device, inode, size, mtime and ctime in ns."""

SIZE, MTIME, CTIME = 3, 4, 5

facts = attrgetter("st_mode", "st_dev", "st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")

DIGEST_BYTES = 32
STAT_BYTES = 8 * FIELDS

HEAD = struct.Struct(">II")
"""What goes before a question (names, their bytes) and an answer (files done, 0 or the errno)."""

_SMALL = 1 << 16
_BUFFER_SIZE = 1 << 20
_ENOUGH = 32 << 20
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_MASK = (1 << 64) - 1


def packed(numbers: Sequence[int]) -> bytes:
    """The numbers of stats in 8 bytes each: the lowest ones, where a system has longer numbers."""
    count = len(numbers)
    try:
        return struct.pack(f"{count}q", *numbers)
    except struct.error:
        return struct.pack(f"{count}Q", *[number & _MASK for number in numbers])


def measure(
    paths: Sequence[bytes], new: Callable[[bytes], Any], enough: int = 0
) -> Tuple[bytes, bytes]:
    """Reads files one after the other; what their stats were is asked before.

    The result has :data:`DIGEST_BYTES` and :data:`STAT_BYTES` (:func:`packed`) a file, in order. A
    file's size is there the number of bytes that were read.

    Args:
        paths: the files.
        new: makes a hasher of some bytes, whose digests have 32.
        enough: stop after so many bytes were read, with the files done by then; 0: read all.

    Raises:
        OSError: a file cannot be read; its ``filename`` says which.
    """
    buffer = memoryview(bytearray(_BUFFER_SIZE))
    digests: List[bytes] = []
    numbers: List[int] = []
    total = 0
    for path in paths:
        descriptor = os.open(path, _FLAGS)
        try:
            status = os.fstat(descriptor)
            size = status.st_size
            data = os.read(descriptor, size + 1) if size < _SMALL else b""
            hasher = new(data)
            if len(data) != size or not size:
                size = len(data) + _read_rest(descriptor, hasher, buffer)
        except OSError as error:
            error.filename = path
            raise
        finally:
            os.close(descriptor)
        digests.append(hasher.digest())
        numbers.extend(facts(status))
        if size != status.st_size:
            numbers[SIZE - FIELDS] = size
        total += size
        if enough and total >= enough:
            break
    return b"".join(digests), packed(numbers)


def _read_rest(descriptor: int, hasher: Any, buffer: memoryview) -> int:
    size = 0
    with open(descriptor, "rb", buffering=0, closefd=False) as stream:
        while True:
            count = stream.readinto(buffer)
            if not count:
                return size
            hasher.update(buffer[:count])
            size += count


def hasher_of(algorithm: str, threads: int = 1) -> Callable[[bytes], Any]:
    """What makes hashers of an algorithm; BLAKE3 may use so many threads for one large file."""
    if algorithm == "blake3":
        from importlib import import_module

        blake3 = import_module("blake3").blake3
        return blake3 if threads == 1 else lambda data: blake3(data, max_threads=threads)
    import hashlib

    found: Callable[[bytes], Any] = getattr(hashlib, algorithm)
    return found


def answer(source: IO[bytes], target: IO[bytes], algorithm: str) -> None:
    """Answers questions until there are no more."""
    new = hasher_of(algorithm)
    while True:
        head = source.read(HEAD.size)
        if len(head) < HEAD.size:
            return
        _, length = HEAD.unpack(head)
        names = source.read(length)
        if len(names) < length:
            return
        try:
            digests, stats = measure(names.split(b"\0"), new, _ENOUGH)
        except OSError as error:
            name = error.filename if isinstance(error.filename, bytes) else b""
            target.write(HEAD.pack(len(name), error.errno or 5) + name)
        else:
            count = len(digests) // DIGEST_BYTES
            target.write(HEAD.pack(count, 0) + digests + stats)
        target.flush()


def _main(arguments: Sequence[str]) -> None:
    sys.path.extend(arguments[1:])
    try:
        answer(sys.stdin.buffer, sys.stdout.buffer, arguments[0])
    except (BrokenPipeError, KeyboardInterrupt):
        # Whoever asked is gone, or is being stopped together with this process.
        os._exit(1)


if __name__ == "__main__":
    _main(sys.argv[1:])
