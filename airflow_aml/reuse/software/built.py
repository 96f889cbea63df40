"""Environments that this machine has built, one for each lock.

::

    <cache>/environments/<lock>/<number>/          a virtual environment
    <cache>/environments/<lock>/<number>.json      written last: it is whole, and looked like this
    <cache>/environments/<lock>/lock               held by whoever builds

Of many who ask at once one builds, and the others wait for it. A build that was broken off has no
mark, and is made again. One that somebody has changed since is left to those who still run in it,
and the next number is built.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from airflow_aml.errors import WorkspaceException
from airflow_aml.reuse.layout import hexadecimal
from airflow_aml.reuse.software.conda import Activation, install_conda
from airflow_aml.reuse.software.locks import Lock
from airflow_aml.reuse.software.pythons import find_python
from airflow_aml.reuse.software.uv import run_uv
from airflow_aml.workspace.caches import cache_folder
from airflow_aml.workspace.documents import write_json

Said = Callable[[str], None]

_UNREAD = frozenset(("__pycache__", "tests", "include"))
_UNREAD_FILES = (".pyc", ".pyi", ".pxd", ".pyx", ".h")
_WHOLE, _CHANGED, _ABSENT = "whole", "changed", "absent"


def interpreter_of(lock: Lock, say: Said = lambda sentence: None) -> str:
    """The path of an interpreter that has just what a lock lists; it is built if it is not there.

    Args:
        say: hears what takes time, and that somebody has changed an environment.

    Raises:
        UserErrorException: this machine has no such Python, or a package cannot be built.
        WorkspaceException: the disk or the network is in the way.
    """
    folder = environments_folder() / hexadecimal(lock.digest)[:32]
    try:
        number = _latest(folder)
        if _state(folder, number) == _WHOLE:
            return _python(folder, number)
        with _building(folder, say) as held:
            number = _latest(folder)
            state = _state(folder, number)
            if state == _CHANGED:
                say(f"the environment in {folder / str(number)} was changed by hand: built anew")
                number += 1
            if state != _WHOLE:
                _build(folder, number, lock, say, held)
    except OSError as error:
        raise WorkspaceException(
            f"the environment cannot be built: {error.strerror or error}.",
            where=str(folder),
            hint="AIRFLOW_AML_CACHE names the folder of this machine's caches.",
        ) from error
    return _python(folder, number)


def activation_of(interpreter: str) -> Activation:
    """What a script in this environment needs besides its interpreter: conda's programs, if any."""
    place = Path(interpreter).parents[1]
    mark = json.loads(place.with_name(f"{place.name}.json").read_bytes())
    found = mark.get("conda") or {}
    return Activation(tuple(found.get("path", ())), dict(found.get("variables", {})))


def packages_of(lock: Lock, say: Said = lambda sentence: None) -> str:
    """The folder that has just the packages of a lock, for a Python of that version elsewhere.

    Raises:
        UserErrorException, WorkspaceException: see :func:`interpreter_of`.
    """
    return _packages(Path(interpreter_of(lock, say)).parents[1])


def environments_folder() -> Path:
    """Where this machine's environments are; each can be removed while nothing runs in it."""
    return Path(cache_folder(), "environments")


def stamp(root: str) -> str:
    """A digest over names, sizes and times of what is installed: whoever changes it is seen.

    What Python compiles by itself does not count, nor does what no script reads, which is half of
    all files in a large environment.
    """
    rows: list[str] = []
    folders = [root]
    while folders:
        folder = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _UNREAD:
                        folders.append(entry.path)
                elif not entry.name.endswith(_UNREAD_FILES):
                    status = entry.stat(follow_symlinks=False)
                    rows.append(f"{entry.path}\0{status.st_size}\0{status.st_mtime_ns}")
    rows.sort()
    return hashlib.sha256("\n".join(rows).encode("utf-8", "surrogateescape")).hexdigest()


@contextmanager
def _building(folder: Path, say: Said) -> Iterator[int]:
    """Inside, nobody else builds it; yields the descriptor that says so."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another task builds this environment: waiting for it")
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _build(folder: Path, number: int, lock: Lock, say: Said, held: int) -> None:
    """Builds it, or leaves nothing of it behind: what is half-built would keep a full disk full."""
    started = time.monotonic()
    place = folder / str(number)
    shutil.rmtree(place, ignore_errors=True)
    interpreter = find_python(lock.python, say)
    try:
        _install(folder, number, lock, interpreter, held)
        conda = install_conda(lock.conda, str(place / "conda"), held) if lock.conda else None
        mark = {
            "python": interpreter,
            "stamp": _stamp(place),
            "conda": conda.document if conda else None,
        }
        write_json(folder / f"{number}.json", mark)
    except Exception:
        shutil.rmtree(place, ignore_errors=True)
        raise
    count = len(lock.environment.packages)
    say(
        f"environment built: Python {lock.python}, {count} package{'' if count == 1 else 's'}, "
        f"in {time.monotonic() - started:.1f} s ({place})"
    )


def _install(folder: Path, number: int, lock: Lock, interpreter: str, held: int) -> None:
    """Has uv make it. uv holds the lock, too: where this process is killed, it may go on alone."""
    run_uv(
        ["venv", "--no-project", "--python", interpreter, str(folder / str(number))],
        f"a virtual environment of {interpreter} cannot be made",
        held=[held],
    )
    if not lock.packages:
        return
    wanted = folder / f"{number}.txt"
    wanted.write_text("".join(f"{line}\n" for line in (*lock.options, *lock.requirements)))
    run_uv(
        [
            "pip",
            "install",
            "--no-deps",
            # Links would hand on what somebody does to a file by hand to all environments.
            "--link-mode=copy",
            "--python",
            _python(folder, number),
            "--requirement",
            str(wanted),
        ],
        "its packages cannot be installed",
        held=[held],
    )


def _latest(folder: Path) -> int:
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return 0
    return max((int(name) for name in names if name.isdigit()), default=0)


def _state(folder: Path, number: int) -> str:
    try:
        mark = json.loads((folder / f"{number}.json").read_bytes())
        if not os.access(_python(folder, number), os.X_OK):  # or what it links to
            return _CHANGED
        same = mark["stamp"] == _stamp(folder / str(number))
        return _WHOLE if same else _CHANGED
    except FileNotFoundError:
        return _ABSENT if not (folder / f"{number}.json").exists() else _CHANGED
    except (ValueError, LookupError, TypeError):
        return _ABSENT


def _stamp(place: Path) -> str:
    conda = place / "conda"
    roots = [_packages(place), *([str(conda)] if conda.is_dir() else [])]
    return " ".join(map(stamp, roots))


def _python(folder: Path, number: int) -> str:
    return str(folder / str(number) / "bin" / "python")


def _packages(place: Path) -> str:
    for path in place.glob("lib/python3*/site-packages"):
        return str(path)
    raise FileNotFoundError(str(place))
