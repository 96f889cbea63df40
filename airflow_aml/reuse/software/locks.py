"""Locks: the exact version of every package that a wish comes to.

::

    locks/<wish>.json      one for each wish, made by whoever needs it first

A lock stays as it is until somebody locks anew, however many releases PyPI has had since.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_aml.definition.condafiles import PRE
from airflow_aml.errors import WorkspaceException
from airflow_aml.reuse.environment import Environment
from airflow_aml.reuse.layout import hexadecimal
from airflow_aml.reuse.software.conda import lock_conda, named_packages
from airflow_aml.reuse.software.packages import normalised
from airflow_aml.reuse.software.pythons import find_python
from airflow_aml.reuse.software.uv import run_uv
from airflow_aml.reuse.software.wishes import Wish

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home

LOCKS = "locks/"
LOCK_VERSION = 1


@dataclass(frozen=True)
class Lock:
    """What is installed for a wish.

    Attributes:
        python: ``3.8``.
        packages: normalised name -> version, or ``@ <URL>``.
        options: lines of a requirements file that say where packages are from.
        conda: lines of conda's ``@EXPLICIT`` file: what PyPI does not have.
    """

    python: str
    packages: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()

    @property
    def environment(self) -> Environment:
        """The lock as keys and reasons know it."""
        packages = {**self.packages, **named_packages(self.conda)}
        return Environment("cpython", self.python, dict(sorted(packages.items())))

    @property
    def digest(self) -> str:
        """``sha256:<hex>`` over Python's version and those of the packages."""
        return self.environment.digest

    @property
    def requirements(self) -> tuple[str, ...]:
        """The lines of a requirements file that installs just this."""
        return tuple(
            f"{name} {version}" if version.startswith("@") else f"{name}=={version}"
            for name, version in sorted(self.packages.items())
        )

    @property
    def document(self) -> dict[str, Any]:
        """The lock as plain JSON."""
        return {
            "version": LOCK_VERSION,
            "python": self.python,
            "packages": dict(sorted(self.packages.items())),
            "options": list(self.options),
            "conda": list(self.conda),
        }

    @classmethod
    def of_document(cls, document: Any, where: str = "") -> Lock:
        """The lock that a document holds.

        Raises:
            WorkspaceException: it holds none.
        """
        try:
            if document["version"] > LOCK_VERSION:
                raise WorkspaceException(
                    f"a later release made the lock {where}.",
                    hint="Upgrade airflow-provider-aml here.",
                )
            packages = {str(name): str(version) for name, version in document["packages"].items()}
            options, conda = document["options"], document.get("conda", ())
            return cls(
                str(document["python"]), packages, tuple(map(str, options)), tuple(map(str, conda))
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise _damaged(where, f"it is no lock ({error})") from error


def lock_of(
    wish: Wish,
    home: Home,
    *,
    keep: bool = True,
    anew: bool = False,
    here: bool = True,
    say: Callable[[str], None] = lambda sentence: None,
) -> Lock:
    """The workspace's lock of a wish; the first who asks makes it.

    Args:
        keep: False is for who only looks: a lock that is not there is made and not stored.
        anew: as if there were none.
        here: whether it is for this machine, whose interpreter then must be there.

    Raises:
        UserErrorException: uv finds no versions that fit; the text is its explanation.
        WorkspaceException: an index or the store cannot be reached, or the lock is damaged.
    """
    path = f"{LOCKS}{hexadecimal(wish.digest)}.json"
    if not anew:
        found = _kept(path, home)
        if found is not None:
            return found
    say(f"locking {_shown(wish)}")
    made = _made(wish, here, say)
    if not keep:
        return made
    asked = {"requirements": [*wish.requirements, *wish.conda], "python": wish.python}
    data = json.dumps({**made.document, "asked": asked}, indent=1).encode()
    if anew:
        home.store.write(path, data)
        return made
    if home.store.create(path, data):
        return made
    return _kept(path, home) or made  # another run was first: its answer is everybody's


def kept_locks(home: Home) -> list[tuple[tuple[str, ...], Lock]]:
    """All locks of a workspace, each with the requirements that it stands for."""
    result = []
    for name in home.store.children(LOCKS):
        lock, document = _read(f"{LOCKS}{name}", home)
        result.append((tuple(document.get("asked", {}).get("requirements", ())), lock))
    return result


def _kept(path: str, home: Home) -> Lock | None:
    try:
        return _read(path, home)[0]
    except FileNotFoundError:
        return None


def _read(path: str, home: Home) -> tuple[Lock, Any]:
    where = home.store.uri(path)
    data = home.store.read(path)
    try:
        document = json.loads(data)
    except ValueError as error:
        raise _damaged(where, str(error)) from error
    return Lock.of_document(document, where), document


def _damaged(where: str, why: str) -> WorkspaceException:
    # The file is in the sentence itself, as whoever tells it puts the step before it.
    return WorkspaceException(
        f"the lock {where} is damaged: {why}.",
        hint="Lock anew by airflow-aml environments FILE --lock, or remove it.",
    )


def _made(wish: Wish, here: bool, say: Callable[[str], None]) -> Lock:
    which = ["--python-version", wish.python]
    if here:
        which = ["--python", find_python(wish.python, say)]
    options = tuple(each for each in wish.options if each != PRE)
    conda = lock_conda(wish.conda, wish.channels) if wish.conda else ()
    if not wish.requirements:
        return Lock(wish.python, {}, options, conda)
    if PRE in wish.options:  # uv has it as an argument only
        which.append(PRE)
    lines = "\n".join([*options, *wish.requirements])
    text = run_uv(
        ["pip", "compile", "-", *which, "--no-header", "--no-annotate"],
        f"the packages that it asks for cannot be had for Python {wish.python}",
        given=f"{lines}\n",
    )
    return Lock(wish.python, dict(_pinned(line) for line in _lines(text)), options, conda)


def _lines(text: str) -> list[str]:
    lines = (line.split(" #", 1)[0].strip() for line in text.splitlines())
    return [line for line in lines if line and not line.startswith(("#", "-"))]


def _pinned(line: str) -> tuple[str, str]:
    name, at, url = line.partition(" @ ")
    if at:
        return normalised(name.partition("[")[0]), f"@ {url.strip()}"
    name, _, version = line.partition("==")
    return normalised(name.partition("[")[0].strip()), version.partition(";")[0].strip()


def _shown(wish: Wish) -> str:
    asked = ", ".join((*wish.requirements, *wish.conda)) or "no packages"
    return f"Python {wish.python} with {asked}"
