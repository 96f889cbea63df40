"""What a step asks for, once names are looked up and v1's own packages are replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_aml.definition.spec import EnvironmentSpec
from airflow_aml.errors import NotServedError, UserErrorException
from airflow_aml.reuse.fingerprint import digest_of
from airflow_aml.reuse.software.conda import find_micromamba, is_conda
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
        conda: packages that PyPI does not have, as conda writes them, sorted.
        channels: where those are from.
        notes: what was replaced or left out, a sentence each.
    """

    python: str
    requirements: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    conda: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """``sha256:<hex>``: equal wishes have one lock."""
        asked = ["wish", _WISH_VERSION, self.python, list(self.requirements), list(self.options)]
        return digest_of([*asked, list(self.conda), list(self.channels)] if self.conda else asked)


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
    contained: bool = False,
) -> Wish | None:
    """What a step wants beyond what there is; None: nothing, it runs with what there is.

    Args:
        python: the version that is there anyway (an image's); without it, the worker's own.
        pending: environments that the run will first register, name -> document.
        contained: whether it is for a container, beside whose image Python packages come alone.

    Raises:
        UserErrorException: a registered name is not there, or a setting is wrong.
        NotServedError: a conda package has no counterpart on PyPI, and there is no micromamba.
    """
    if not site.own or not asks(spec):
        return None
    spec = looked_up(spec, site, home, pending)
    if not asks(spec):
        return None
    notes: list[str] = []
    conda, others, conda_python = from_conda(spec.conda_packages, site.packages, notes)
    found = from_pip([*spec.pip_packages, *conda], site.packages, notes)
    requirements = [each for each in found if not is_conda(each)]
    others += [each for each in found if is_conda(each)]
    if others:
        _check_conda(others[0], contained)
        notes.append(f"from {', '.join(site.channels)} by micromamba: {', '.join(others)}")
    asked = spec.python_version or conda_python
    if not requirements and not others and not asked:
        return None
    return Wish(
        _version(asked or python or own_version(), site),
        tuple(sorted(requirements)),
        spec.pip_options,
        tuple(sorted(others)),
        site.channels if others else (),
        tuple(notes),
    )


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


def _check_conda(package: str, contained: bool) -> None:
    if not contained and find_micromamba():
        return
    name = re.split(r"[\s=<>!~]", package.rpartition("::")[2], maxsplit=1)[0]
    nothing = f'map the name to nothing: [aml] packages = {{"{name}": null}}'
    if contained:
        raise NotServedError(
            f"conda package {package!r} is no Python package, and only those come beside an image.",
            hint=f"Use an image that has it, and {nothing}.",
        )
    raise NotServedError(
        f"conda package {package!r} is no Python package, and environments are made from PyPI "
        "here.",
        hint="Put micromamba on PATH of all workers, or use a container image that has it; or, "
        f"where the machine has it already, {nothing}.",
    )


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
