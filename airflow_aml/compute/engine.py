"""What is known of images where a run is planned; each Docker engine is asked once for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_aml.compute.docker import engine_of, image_of
from airflow_aml.reuse.environment import Environment, of_image, unknown_image
from airflow_aml.reuse.fingerprint import NoKey
from airflow_aml.workspace.computes import DOCKER, KUBERNETES

if TYPE_CHECKING:
    from airflow_aml.compute.named import NamedComputes
    from airflow_aml.definition.spec import NodeSpec

_PATIENCE = 10


class Images:
    """The software of steps in containers, as far as it can be told without pulling an image."""

    def __init__(self, computes: NamedComputes) -> None:
        self._computes = computes
        self._known: dict[tuple[str, str], Environment | None] = {}

    def __call__(self, node: NodeSpec) -> Environment | None:
        """What a step runs in; None for one that runs in no container.

        Raises:
            NoKey: the image is not here, or the engine does not answer.
        """
        compute = self._computes.of(node)
        if compute.kind == KUBERNETES:  # the nodes know what it holds, and they come and go
            return of_image(image_of(node, compute))
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


def _look(engine: str, image: str) -> Environment | None:
    from docker import APIClient
    from docker.errors import DockerException
    from requests import RequestException

    try:
        client = APIClient(base_url=engine, version="auto", timeout=_PATIENCE)
        try:
            found: dict[str, Any] = client.inspect_image(image)
        finally:
            client.close()
    except (DockerException, RequestException):  # the step itself says what is wrong
        return None
    return of_image(str(found["Id"]))
