"""The computes that one pipeline can mean by its names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from airflow_aml.definition.computes.known import declared
from airflow_aml.definition.data.near import near
from airflow_aml.definition.setup import SetupAction
from airflow_aml.definition.spec import EnvironmentSpec, NodeSpec, PipelineSpec
from airflow_aml.errors import PipelineDefinitionError
from airflow_aml.workspace.computes import (
    DEFAULT,
    DOCKER,
    KUBERNETES,
    LOCAL,
    ComputeRecord,
    Computes,
    find,
)

_WORKER = ComputeRecord(LOCAL)
_NOTHING = EnvironmentSpec()


class NamedComputes:
    """The site's computes and those that a file creates or attaches.

    Args:
        site: what the site defines.
        setup: what the file does before its runs.
    """

    def __init__(self, site: Computes, setup: Sequence[SetupAction] = ()) -> None:
        self._site = site
        self._made = declared(setup)

    def of(self, node: NodeSpec) -> ComputeRecord:
        """The compute that a step means; the default one where nobody has defined its name.

        Raises:
            PipelineDefinitionError: the site has defined computes, no default, and none so called.
        """
        if not self._site and not self._made:
            return _WORKER
        found = find(node.compute, self._site, self._made)
        if found is not None:
            return found
        if self._site and DEFAULT not in self._site:
            raise PipelineDefinitionError(
                f"no compute {node.compute!r} is defined. "
                f"{near(str(node.compute), [*self._site, *self._made])}",
                where=f"step {node.name!r}",
                hint=f"Define it in [aml] computes, or {DEFAULT!r} for all that are not.",
            )
        return self._site.get(DEFAULT, _WORKER)

    def equipped(self, spec: PipelineSpec) -> PipelineSpec:
        """The pipeline with the computes' environments, for the steps that ask for nothing.

        Raises:
            PipelineDefinitionError: as :meth:`of`.
        """
        if not any(record.environment for record in self._site.values()):
            return spec
        found = {}
        for node in spec.nodes:
            name, _, version = (self.of(node).environment or "").partition(":")
            if name and replace(node.settings.environment, name="") == _NOTHING:
                found[node.id] = EnvironmentSpec(name, version or None, registered=True)
        return spec.within(found)

    def is_contained(self, node: NodeSpec) -> bool:
        """Whether a step runs in an image."""
        return self.of(node).kind in (DOCKER, KUBERNETES)

    def undefined(self, nodes: Iterable[NodeSpec]) -> list[str]:
        """The names that steps use and nobody has defined."""
        names = sorted({node.compute for node in nodes if node.compute and node.compute != LOCAL})
        return [name for name in names if find(name, self._site, self._made) is None]
