"""Make a Docker image of what is installed on this machine, without a registry.

It holds the running CPython, moved to /usr/local, /bin/sh, and the shared libraries that they need;
further programs, folders and packages where somebody names them.
``python -m scripts.docker_image TAG`` makes one in the engine that ``DOCKER_HOST`` names.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

_PYTHON = f"python{sys.version_info.major}.{sys.version_info.minor}"
_LEFT_OUT = {
    "__pycache__", "ensurepip", "idlelib", "lib2to3", "site-packages", "test", "tests", "tkinter",
    "turtledemo",
}  # fmt: skip
_FOLDERS = ("proc", "sys", "dev", "etc", "root", "home", "run", "var/tmp", "var/lib", "opt")
_AIRFLOW = 50000
"""The user of Airflow's own images, and of a folder there."""
_PASSWORDS = (
    b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/tmp:/bin/sh\n"
    b"airflow:x:%d:0:airflow:/tmp:/bin/sh\n" % _AIRFLOW
)
_EXPECTED = (
    "libdl.so.2", "libgcc_s.so.1", "libm.so.6", "libpthread.so.0", "librt.so.1", "libstdc++.so.6",
    "libutil.so.1",
)  # fmt: skip
"""What wheels expect every machine to have."""
_VARIABLES = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "LD_LIBRARY_PATH": "/usr/local/lib",
    "LANG": "C.UTF-8",
}


def make_image(
    tag: str,
    engine: str,
    python: bool = True,
    *,
    more: Mapping[str, Path] = {},
    variables: Mapping[str, str] = {},
    entrypoint: Sequence[str] = (),
) -> None:
    """Makes the image; without Python it has a shell and nothing else.

    Args:
        more: path in the image -> file or folder of this machine.
        variables: beside those that every such image has.
        entrypoint: what is started before a command.

    Raises:
        RuntimeError: the engine did not take it.
    """
    given = {**_VARIABLES, **variables}
    changes = [word for pair in given.items() for word in ("-c", f"ENV {'='.join(pair)}")]
    if entrypoint:
        changes += ["-c", f"ENTRYPOINT {json.dumps(list(entrypoint))}"]
    importing = subprocess.Popen(
        ["docker", "-H", engine, "import", *changes, "-", tag],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert importing.stdin is not None
    with tarfile.open(fileobj=importing.stdin, mode="w|") as archive:
        _write(archive, _files(python, more))
    importing.stdin.close()
    if importing.wait():
        said = importing.stderr.read().decode() if importing.stderr else ""
        raise RuntimeError(f"the image {tag} could not be made: {said}")


def _write(archive: tarfile.TarFile, files: dict[str, Path]) -> None:
    for folder in _FOLDERS:
        _add(archive, folder, tarfile.DIRTYPE, 0o755)
    _add(archive, "tmp", tarfile.DIRTYPE, 0o1777)
    _add(archive, "opt/airflow", tarfile.DIRTYPE, 0o755, owner=_AIRFLOW)
    _add(archive, "etc/passwd", tarfile.REGTYPE, 0o644, _PASSWORDS)
    for name, source in files.items():
        entry = tarfile.TarInfo(name.lstrip("/"))
        status = source.stat()
        entry.size, entry.mtime = status.st_size, int(status.st_mtime)
        entry.mode = 0o755 if status.st_mode & 0o111 else 0o644
        with source.open("rb") as stream:
            archive.addfile(entry, stream)


def _add(
    archive: tarfile.TarFile, name: str, kind: bytes, mode: int, data: bytes = b"", owner: int = 0
) -> None:
    entry = tarfile.TarInfo(name)
    entry.uid = owner
    entry.type, entry.mode, entry.size = kind, mode, len(data)
    archive.addfile(entry, io.BytesIO(data))


def _files(python: bool, more: Mapping[str, Path]) -> dict[str, Path]:
    """Path in the image -> file of this machine."""
    files = {"/bin/sh": Path("/bin/sh").resolve()}
    base = Path(sys.base_prefix).resolve()
    if python:
        library = base / "lib" / _PYTHON
        for path in library.rglob("*"):
            inside = path.relative_to(library)
            if path.is_file() and not any(_left_out(part) for part in inside.parts):
                files[f"/usr/local/lib/{_PYTHON}/{inside}"] = path
        program = Path(os.path.realpath(sys.executable))
        for name in ("python", "python3", _PYTHON):
            files[f"/usr/local/bin/{name}"] = program
    for name, source in more.items():
        files.update(_below(name, source))
    own = tuple(f"{source.resolve()}/" for source in more.values() if source.is_dir())
    for needed in _libraries([path for path in files.values() if _is_program(path)]):
        if needed.startswith(own):
            continue
        place = f"/usr/local{needed[len(str(base)) :]}" if needed.startswith(str(base)) else needed
        files[place] = Path(needed).resolve()
    return files


def _below(name: str, source: Path) -> dict[str, Path]:
    if not source.is_dir():
        return {name: source.resolve()}
    return {
        f"{name}/{path.relative_to(source)}": path.resolve()
        for path in source.rglob("*")
        if path.is_file()
    }


def _left_out(part: str) -> bool:
    return part in _LEFT_OUT or part.startswith("config-")


def _is_program(path: Path) -> bool:
    if not (path.suffix == ".so" or ".so." in path.name or os.access(path, os.X_OK)):
        return False
    with path.open("rb") as stream:
        return stream.read(4) == b"\x7fELF"


def _libraries(programs: list[Path]) -> set[str]:
    told = subprocess.run(["ldd", *map(str, programs)], capture_output=True, text=True, check=False)
    found = set(re.findall(r"(?:=> |\t)(/[^ ]+) \(0x", told.stdout))
    beside = {os.path.dirname(each) for each in found if os.path.basename(each) == "libc.so.6"}
    expected = {os.path.join(folder, name) for folder in beside for name in _EXPECTED}
    return found | set(filter(os.path.exists, expected))


if __name__ == "__main__":
    make_image(sys.argv[1], os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock"))
