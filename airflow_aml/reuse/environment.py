"""What software a step runs in: the interpreter and the packages that are installed for it.

The list is read from the names of ``*.dist-info`` and ``*.egg-info`` along an interpreter's
``sys.path``, which takes about a millisecond, in every run: a package that was installed since the
last one is seen. A package that is installed editable counts by its version, not by its sources;
list those in ``hash_paths`` where they matter. The operating system does not count.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_aml.errors import AirflowAmlError, UserErrorException
from airflow_aml.reuse import layout
from airflow_aml.reuse.fingerprint import digest_of
from airflow_aml.workspace.caches import cache_folder

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home

ENVIRONMENT_VERSION = 1

UNKNOWN_IMAGE = "what the image"

_QUESTION = (
    "import json, sys; "
    "print(json.dumps([sys.implementation.name, list(sys.version_info[:3]), sys.path]))"
)
_PATIENCE = 60.0
_TICKS = 2 * 10**9
_SEPARATORS = re.compile(r"[-_.]+")
_EGG = re.compile(r"-py\d[\d.]*$")


@dataclass(frozen=True)
class Environment:
    """An interpreter and its packages, or an image.

    Attributes:
        implementation: ``cpython``; empty for an image alone.
        python: ``3.11.7``; empty for an image alone.
        packages: normalised name -> version.
        image: the digest of a container image, which says all but the packages beside it.
    """

    implementation: str = ""
    python: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None

    @property
    def document(self) -> dict[str, Any]:
        """The environment as plain JSON; its digest is over this."""
        return {
            "version": ENVIRONMENT_VERSION,
            "implementation": self.implementation,
            "python": self.python,
            "packages": dict(self.packages),
            "image": self.image,
        }

    @property
    def digest(self) -> str:
        """``sha256:<hex>``; for :attr:`~airflow_aml.reuse.fingerprint.KeyFacts.environment`."""
        return digest_of(self.document)

    def with_packages(self, other: Environment) -> Environment:
        """This image with the packages of another environment in it."""
        return replace(other, image=self.image)


def of_image(digest: str) -> Environment:
    """The environment of a container: its image's digest (``sha256:...``), or its full name."""
    return Environment(image=digest)


def unknown_image(image: str, why: str = "") -> str:
    """Why the key of a step in a container could not be told where its run was planned."""
    more = f": {why}" if why else ""
    return f"{UNKNOWN_IMAGE} {image} holds could not be told where the run was planned{more}."


def of_this_process() -> Environment:
    """The environment of the interpreter that runs this."""
    return Environment(sys.implementation.name, _version(sys.version_info[:3]), installed(sys.path))


def of_interpreter(path: str) -> Environment:
    """The environment of any interpreter of this machine.

    Another one than this process's is asked once for its version and ``sys.path``; the answer is
    kept among this machine's caches until the interpreter, its ``pyvenv.cfg`` or a folder of its
    packages changes.

    Raises:
        UserErrorException: it is not there, or cannot tell.
    """
    if os.path.abspath(path) == os.path.abspath(sys.executable):
        return of_this_process()
    try:
        about = _remembered(path) or _asked(path)
    except OSError as error:
        raise UserErrorException(
            f"the interpreter cannot be used: {error.strerror or error}.", where=path
        ) from error
    return Environment(about["implementation"], about["python"], installed(about["path"]))


def installed(folders: Iterable[str]) -> dict[str, str]:
    """Normalised name -> version of what is installed in these folders, sorted by name.

    Of a package that is there twice the first counts, as it does for an import. What was found is
    kept for this process, and those that it forks, folder by folder until that changes.
    """
    found: dict[str, str] = {}
    for folder in dict.fromkeys(folders):
        for project, version in _packages_in(folder).items():
            found.setdefault(project, version)
    return dict(sorted(found.items()))


def _packages_in(folder: str) -> Mapping[str, str]:
    changed = _changed(folder)
    # A folder may change again within the tick of the clock that its last change was stamped with.
    if changed > time.time_ns() - _TICKS:
        return _listing(folder, changed).packages
    found = _kept_listing(folder, changed)
    return (_listing(folder, changed) if found.develops else found).packages


@dataclass(frozen=True)
class _Listing:
    """What is installed in one folder, and whether that is told inside files, too."""

    packages: Mapping[str, str] = field(default_factory=dict)
    develops: bool = False


def _listing(folder: str, changed: int) -> _Listing:
    """The folder as it is; ``changed``, its stamp, is for who keeps that."""
    try:
        names = os.listdir(folder) if folder and changed >= 0 else []
    except OSError:  # a zip
        return _Listing()
    here: dict[str, str] = {}
    develops = False
    for name in names:
        if name.endswith((".dist-info", ".egg-info")):
            project, version = _named(name)
            if version is None:
                develops, version = True, _version_inside(os.path.join(folder, name))
            # Leftovers of an upgrade may stand beside the real one: no order of a disk decides.
            here[project] = max(here.get(project, ""), version)
    return _Listing(here, develops)


_kept_listing = lru_cache(maxsize=64)(_listing)


def _changed(folder: str) -> int:
    """When the folder last changed, in nanoseconds; -1 if it is not there."""
    try:
        return os.stat(folder).st_mtime_ns if folder else -1
    except OSError:
        return -1


def keep(environment: Environment, home: Home) -> str:
    """Lists an environment in the workspace, once per digest, and returns that.

    Raises:
        WorkspaceException: the store cannot be written.
    """
    digest = environment.digest
    path = layout.environment(digest)
    if not home.store.exists(path):
        home.store.create(path, json.dumps(environment.document).encode())
    return digest


def load(digest: str, home: Home) -> Environment | None:
    """The environment that was kept under that digest; None if there is none to be read."""
    try:
        document = json.loads(home.store.read(layout.environment(digest)))
        return Environment(
            str(document["implementation"]),
            str(document["python"]),
            {str(name): str(version) for name, version in document["packages"].items()},
            document["image"],
        )
    except (OSError, AirflowAmlError, ValueError, LookupError, TypeError, AttributeError):
        return None


def _named(name: str) -> tuple[str, str | None]:
    """Normalised name and version that a package's folder is called by; None: that is inside."""
    stem, _, kind = name.rpartition(".")
    project, dash, version = _EGG.sub("", stem).partition("-")
    develop = not dash and kind == "egg-info"  # what "setup.py develop" leaves
    return _SEPARATORS.sub("-", project).lower(), None if develop else version


def _version_inside(place: str) -> str:
    path = os.path.join(place, "PKG-INFO") if os.path.isdir(place) else place
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if line.startswith("Version:"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return ""


def _version(parts: Sequence[Any]) -> str:
    return ".".join(str(each) for each in parts)


def _asked(path: str) -> dict[str, Any]:
    """The interpreter's own answer, written down for the next time."""
    import subprocess

    try:
        done = subprocess.run(
            [path, "-c", _QUESTION],
            capture_output=True,
            check=True,
            timeout=_PATIENCE,
            stdin=subprocess.DEVNULL,
        )
        implementation, version, folders = json.loads(done.stdout.splitlines()[-1])
    except (subprocess.SubprocessError, ValueError, LookupError, TypeError) as error:
        raise UserErrorException(
            "the interpreter does not tell its version and packages.",
            where=path,
            hint="Try it: it must be a Python that starts.",
        ) from error
    about = {
        "implementation": str(implementation),
        "python": _version(version),
        "path": [each for each in folders if each],
    }
    about["marks"] = _marks(path, about["path"])
    _remember(path, about)
    return about


def _remembered(path: str) -> dict[str, Any] | None:
    try:
        with open(_memory(path), encoding="utf-8") as stream:
            about: dict[str, Any] = json.load(stream)
        if about["marks"] == _marks(path, about["path"]):
            return about
    except (OSError, ValueError, LookupError, TypeError):
        pass
    return None


def _remember(path: str, about: Mapping[str, Any]) -> None:
    from airflow_aml.workspace.documents import write_json

    place = _memory(path)
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        write_json(place, about, durable=False)
    except OSError:  # it is asked again, then
        pass


def _memory(path: str) -> str:
    name = hashlib.sha256(os.fsencode(os.path.abspath(path))).hexdigest()[:32]
    return os.path.join(cache_folder(), "interpreters", f"{name}.json")


def _marks(path: str, folders: Iterable[str]) -> list[Any]:
    """What changes when the answer may have: a .pth file, for one, changes its folder's time."""
    beside = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(path))), "pyvenv.cfg")
    places = [os.path.realpath(path), beside, *folders]
    return [1, os.environ.get("PYTHONPATH"), os.stat(path).st_size, *map(_mtime, places)]


def _mtime(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return 0
