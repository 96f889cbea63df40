"""The part of this package that travels with a step, as one zip that any Python imports from."""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from typing import Iterator, Tuple

from airflow_aml.workspace.caches import cache_folder

FLOORS = ("azureml_compat", "definition", "runtime", "workspace")

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_MOMENT = (1980, 1, 1, 0, 0, 0)


@lru_cache(maxsize=1)
def runtime_zip() -> str:
    """The path of the zip, made once for each content and kept among this machine's caches.

    Where this package was imported from such a zip, as in a pod, it is that one.

    Raises:
        OSError: it cannot be written.
    """
    if os.path.isfile(os.path.dirname(_PACKAGE)):
        return os.path.dirname(_PACKAGE)
    from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

    files = sorted(_files())
    digest = hashlib.sha256()
    for name, path in files:
        status = os.stat(path)
        digest.update(f"{name} {status.st_size} {status.st_mtime_ns}\n".encode())
    place = os.path.join(cache_folder(), "runtime", f"{digest.hexdigest()[:32]}.zip")
    if os.path.exists(place):
        return place
    os.makedirs(os.path.dirname(place), exist_ok=True)
    partial = f"{place}.{os.getpid()}-{os.urandom(4).hex()}"
    with ZipFile(partial, "w", ZIP_DEFLATED) as archive:
        for name, path in files:
            entry = ZipInfo(name, _MOMENT)
            entry.external_attr = 0o100644 << 16
            with open(path, "rb") as stream:
                archive.writestr(entry, stream.read(), ZIP_DEFLATED)
    os.replace(partial, place)
    return place


def paths_of(zipped: str) -> Tuple[str, str]:
    """What has to be on a script's path for ``import airflow_aml`` and v1's ``import azureml``."""
    return zipped, f"{zipped}/airflow_aml/azureml_compat/door"


def _files() -> Iterator[Tuple[str, str]]:
    """(name in the zip, path) of every source file that travels."""
    for name in os.listdir(_PACKAGE):
        if name.endswith(".py"):
            yield f"airflow_aml/{name}", os.path.join(_PACKAGE, name)
    for floor in FLOORS:
        for folder, _, names in os.walk(os.path.join(_PACKAGE, floor)):
            below = os.path.relpath(folder, _PACKAGE).replace(os.sep, "/")
            for name in names:
                if name.endswith(".py"):
                    yield f"airflow_aml/{below}/{name}", os.path.join(folder, name)
