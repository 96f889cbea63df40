"""Registered and curated environments: which image or interpreter their names mean in one run.

That is what a step runs in, so they are looked up before anything else is asked about it; a run
keeps the answer, whatever is registered meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.software.site import Site
from airflow_aml.reuse.software.wishes import looked_up

if TYPE_CHECKING:
    from airflow_aml.definition.spec import EnvironmentSpec, NodeSpec, PipelineSpec
    from airflow_aml.workspace.home import Home

Named = Mapping[str, "EnvironmentSpec"]
"""Node id -> the environment that its name means."""


def named_environments(
    spec: PipelineSpec,
    home: Home,
    contained: Callable[[NodeSpec], bool],
    *,
    get: Callable[[str], str] | None = None,
    pending: Mapping[str, Any] = {},
) -> Named:
    """The environments that are only named and say more than packages, which have a lock.

    That is those of steps that run in containers, and those with an interpreter of the worker's.

    Args:
        contained: whether a step runs in an image.
        get: gives a setting of the site's; see :meth:`Site.read`.
        pending: environments that the run will first register, name -> document.

    Raises:
        UserErrorException: there is no such environment; the text names the step.
    """
    nodes = [node for node in spec.nodes if node.settings.environment.registered]
    if not nodes:
        return {}
    site = Site.read(get)
    meant: dict[EnvironmentSpec, EnvironmentSpec] = {}
    found = {}
    for node in nodes:
        if not (contained(node) or site.own):
            continue
        asked = node.settings.environment
        try:
            if asked not in meant:
                meant[asked] = looked_up(asked, site, home, pending)
        except AirflowAmlError as error:
            where = f"step {node.name!r}"
            raise type(error)(error.message, where=where, hint=error.hint) from error
        if contained(node) or meant[asked].interpreter:
            found[node.id] = meant[asked]
    return found
