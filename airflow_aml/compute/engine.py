"""What is known of images, cores and memory where a run is planned.

An engine tells what an image of its own is, a registry what a pod's image will be. Each is asked
once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_aml.compute import place
from airflow_aml.compute.docker import engine_of, image_of
from airflow_aml.errors import ComputeTargetException, UserErrorException
from airflow_aml.reuse.environment import Environment, of_image, unknown_image
from airflow_aml.reuse.fingerprint import NoKey
from airflow_aml.workspace.computes import DOCKER, KUBERNETES

if TYPE_CHECKING:
    from airflow_aml.compute.named import NamedComputes
    from airflow_aml.definition.spec import NodeSpec

_PATIENCE = 10


class Images:
    """The software of steps in containers, as far as it can be told without pulling an image.

    Attributes:
        found: what counts of each step's image, by node id, once it was asked for.
    """

    def __init__(self, computes: NamedComputes) -> None:
        self.found: dict[str, str] = {}
        self._computes = computes
        self._known: dict[tuple[str, str], Environment | None] = {}
        self._named: dict[str, Environment | NoKey] = {}

    def __call__(self, node: NodeSpec) -> Environment | None:
        """What a step runs in; None for one that runs in no container.

        Raises:
            NoKey: the image is not here, or its engine or registry does not answer.
            UserErrorException: the step asks for what its compute cannot give.
        """
        found = self._of(node)
        if found is not None and found.image:
            self.found[node.id] = found.image
        return found

    def _of(self, node: NodeSpec) -> Environment | None:
        compute = self._computes.of(node)
        place(node, compute)
        if compute.kind == KUBERNETES:
            return self._in_registry(image_of(node, compute), compute.fixed_tags)
        if compute.kind != DOCKER:
            return None
        engine, image = engine_of(compute), image_of(node, compute)
        if node.settings.environment.dockerfile:
            return of_image(image)  # whenever and wherever it is built
        if (engine, image) not in self._known:
            self._known[engine, image] = _look(engine, image)
        found = self._known[engine, image]
        if found is None:
            raise NoKey(unknown_image(image))
        return found

    def _in_registry(self, image: str, fixed: bool) -> Environment:
        """What a name stands for now: that is what the pod will be made with."""
        from airflow_aml.compute.registry import digest_of, parsed

        if fixed and not parsed(image).digest:
            return of_image(image)
        if image not in self._named:
            try:
                self._named[image] = of_image(digest_of(image))
            except ComputeTargetException as error:
                why = f"{error.message}; name it by its digest, or see 'fixed_tags' of computes"
                self._named[image] = NoKey(unknown_image(image, why))
        found = self._named[image]
        if isinstance(found, NoKey):
            raise found
        return found


def refuse_too_large(computes: NamedComputes, nodes: Iterable[NodeSpec]) -> None:
    """Sees to it that no step asks for more cores or memory than its engine has at all.

    What a machine's name stands for (``vm_size``) is a limit and no wish; an engine that does not
    answer is the step's own trouble.

    Raises:
        UserErrorException: one does; the text says how much there is.
    """
    known: dict[str, Mapping[str, Any]] = {}
    for node in nodes:
        compute = computes.of(node)
        if compute.kind != DOCKER or not (compute.cpu or compute.memory):
            continue
        engine = engine_of(compute)
        if engine not in known:
            known[engine] = _asked(engine, lambda client: client.info()) or {}
        cores, memory = known[engine].get("NCPU"), known[engine].get("MemTotal")
        where = f"step {node.name!r}, compute {compute.name!r}"
        if cores and compute.cpu and compute.cpu > cores:
            raise UserErrorException(
                f"{compute.cpu:g} cores are asked for, and the Docker engine at {engine} has "
                f"{cores}.",
                where=where,
                hint="Lower the compute's 'cpu', or name another 'engine'.",
            )
        if memory and compute.memory and _bytes(compute.memory) > memory:
            raise UserErrorException(
                f"{compute.memory} of memory are asked for, and the Docker engine at {engine} has "
                f"{memory >> 20}m.",
                where=where,
                hint="Lower the compute's 'memory', or name another 'engine'.",
            )


def _bytes(text: str) -> int:
    from docker.utils import parse_bytes

    return int(parse_bytes(text))


def _look(engine: str, image: str) -> Environment | None:
    found = _asked(engine, lambda client: client.inspect_image(image))
    return of_image(str(found["Id"])) if found else None


def _asked(engine: str, question: Callable[[Any], dict[str, Any]]) -> dict[str, Any] | None:
    """The engine's answer; None where it has none, which the step itself tells."""
    from docker import APIClient
    from docker.errors import DockerException
    from requests import RequestException

    try:
        client = APIClient(base_url=engine, version="auto", timeout=_PATIENCE)
        try:
            return question(client)
        finally:
            client.close()
    except (DockerException, RequestException):
        return None
