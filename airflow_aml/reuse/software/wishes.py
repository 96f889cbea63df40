"""What a step asks for, once names are looked up and v1's own packages are replaced."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_aml.definition.spec import EnvironmentSpec
from airflow_aml.errors import UserErrorException
from airflow_aml.reuse.fingerprint import digest_of
from airflow_aml.reuse.software.packages import from_conda, from_pip
from airflow_aml.reuse.software.pythons import OLDEST, own_version, short
from airflow_aml.reuse.software.site import Site

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home

_WISH_VERSION = 1


@dataclass(frozen=True)
class Wish:
    """Packages for one Python version, as an author asks for them.

    Attributes:
        python: ``3.8``.
        requirements: pip's, sorted.
        options: lines of a requirements file that say where packages are from.
        notes: what was replaced or left out, a sentence each.
    """

    python: str
    requirements: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """``sha256:<hex>``: equal wishes have one lock."""
        return digest_of(
            ["wish", _WISH_VERSION, self.python, list(self.requirements), list(self.options)]
        )


def asks(spec: EnvironmentSpec) -> bool:
    """Whether a step asks for software at all; most do not, and pay nothing for this."""
    if spec.user_managed or spec.interpreter:
        return False
    return bool(spec.registered or spec.pip_packages or spec.conda_packages or spec.python_version)


def wish_of(
    spec: EnvironmentSpec,
    site: Site,
    home: Home,
    *,
    python: str | None = None,
    pending: Mapping[str, Any] = {},
) -> Wish | None:
    """What a step wants beyond what there is; None: nothing, it runs with what there is.

    Args:
        python: the version that is there anyway (an image's); without it, the worker's own.
        pending: environments that the run will first register, name -> document.

    Raises:
        UserErrorException: a registered name is not there, or a setting is wrong.
        NotServedError: a conda package has no counterpart on PyPI.
    """
    if not site.own or not asks(spec):
        return None
    spec = looked_up(spec, site, home, pending)
    if not asks(spec):
        return None
    notes: list[str] = []
    conda, conda_python = from_conda(spec.conda_packages, site.packages, notes)
    requirements = from_pip([*spec.pip_packages, *conda], site.packages, notes)
    asked = spec.python_version or conda_python
    if not requirements and not asked:
        return None
    version = _version(asked or python or own_version(), site)
    return Wish(version, tuple(sorted(requirements)), spec.pip_options, tuple(notes))


def looked_up(
    spec: EnvironmentSpec, site: Site, home: Home, pending: Mapping[str, Any] = {}
) -> EnvironmentSpec:
    """The environment that a name means, with what the author says on top of it."""
    if not spec.registered:
        return spec
    from airflow_aml.codec import decode, encode
    from airflow_aml.workspace.environments import resolved

    found: EnvironmentSpec = decode(
        EnvironmentSpec, resolved(home, encode(spec), site.curated, pending)
    )
    return found


def _version(asked: str, site: Site) -> str:
    version = short(asked)
    version = short(site.pythons.get(asked) or site.pythons.get(version) or version)
    if tuple(map(int, version.split("."))) < OLDEST:
        raise UserErrorException(
            f"Python {version} is asked for, and steps need 3.8 or later.",
            hint="Name the version to be used for it: "
            f'[aml] python_versions = {{"{version}": "3.8"}}.',
        )
    return version
