"""One container of a Docker engine around one script, as the provider's operator sees it.

``DockerOperator`` makes, starts, follows and removes the container; what a step needs beyond that
is done where it calls the engine: a real limit of cores, stdout and stderr apart, how it ended.
"""

from __future__ import annotations

import fcntl
import io
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from docker.errors import DockerException, ImageNotFound
from requests import RequestException

from airflow_aml.errors import ComputeTargetException, UserErrorException
from airflow_aml.workspace.caches import cache_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from docker import APIClient

    from airflow_aml.runtime.process import WholeLines

BROKEN = (DockerException, RequestException)
"""What talking to an engine raises."""

LABEL = "airflow_aml.step"
"""A container's label with the id of the step run that it belongs to."""

_PERIOD = 100_000
_REFUSED = range(400, 500)


class StepEngine:
    """An engine's client that runs one script; all that is not here is the client's own.

    Args:
        cpu: cores that the container may use.
        streams: take stdout and stderr.
        filled, emptied: called with the container's id before it starts and after it has ended.
    """

    def __init__(
        self,
        client: APIClient,
        *,
        cpu: float | None,
        streams: tuple[WholeLines, WholeLines],
        filled: Callable[[str], None] | None = None,
        emptied: Callable[[str], None] | None = None,
    ) -> None:
        self._client = client
        self._cpu = cpu
        self._streams = streams
        self._filled = filled
        self._emptied = emptied
        self.container = ""
        self.state: Mapping[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def create_host_config(self, **options: Any) -> Any:
        """Limits cores for certain: the operator's ``cpus`` only weigh who gets more."""
        if self._cpu:
            options.update(cpu_period=_PERIOD, cpu_quota=int(self._cpu * _PERIOD))
        return self._client.create_host_config(**options)

    def create_container(self, **options: Any) -> Any:
        """Makes the container and puts into it what it gets."""
        made = self._client.create_container(**options)
        self.container = str(made["Id"])
        try:
            if self._filled is not None:
                self._filled(self.container)
        except BaseException:
            self._client.remove_container(self.container, force=True, v=True)
            raise
        return made

    def attach(self, **options: Any) -> Iterator[bytes]:
        """Passes on what the script prints, and leaves nothing of it to the operator."""
        chunks = self._client.attach(**options, demux=True)

        def follow() -> Iterator[bytes]:
            for parts in chunks:
                for stream, part in zip(self._streams, parts, strict=True):
                    if part:
                        stream.feed(part)
            for stream in self._streams:
                stream.flush()
            yield from ()

        return follow()

    def wait(self, container: str) -> Any:
        """Waits for the end, and looks how it came."""
        result = self._client.wait(container)
        self.state = self._client.inspect_container(container)["State"]
        if self._emptied is not None:
            self._emptied(container)
        return result

    def remove_container(self, container: str, **options: Any) -> None:
        """Removes it with the volumes that its image has asked for."""
        self._client.remove_container(container, v=True, **options)


def image_id(client: APIClient, image: str, say: Callable[..., None]) -> str:
    """The id of an image, which is pulled where it is not here.

    Raises:
        UserErrorException: there is no such image.
        ComputeTargetException: the engine or the registry does not answer.
    """
    try:
        return str(client.inspect_image(image)["Id"])
    except ImageNotFound:
        pass
    except BROKEN as error:
        raise broken("cannot look at its images", error) from error
    say("pulling the image %s", image)
    try:
        for said in client.pull(image, stream=True, decode=True):
            if "error" in said:
                raise UserErrorException(f"there is no image {image!r} here, and {said['error']}")
        return str(client.inspect_image(image)["Id"])
    except BROKEN as error:
        reason = explained(error)
        text = f"there is no image {image!r} here, and it cannot be pulled: {reason}"
        hint = "Check its name; a private registry needs the compute's 'connection'."
        denied = getattr(error, "status_code", 0) in _REFUSED
        raise (UserErrorException if denied else ComputeTargetException)(text, hint=hint) from error


def build_image(client: APIClient, image: str, dockerfile: str, say: Callable[..., None]) -> None:
    """Builds the image of a Dockerfile, unless the engine has it; of many at once one builds.

    Raises:
        UserErrorException: the Dockerfile cannot be built; the text is the engine's.
        ComputeTargetException: the engine does not answer.
    """
    try:
        if client.images(image):
            return
        with _alone(image):
            if client.images(image):
                return
            say("building the image %s of the step's Dockerfile", image)
            stream, at = io.BytesIO(dockerfile.encode()), ""
            for said in client.build(fileobj=stream, tag=image, rm=True, forcerm=True, decode=True):
                line = said.get("stream", "").rstrip()
                at = line if line.startswith("Step ") else at
                if "error" in said:
                    why = str(said["error"]).strip()
                    raise UserErrorException(
                        f"the Dockerfile of the step cannot be built. {at}: {why}",
                        hint="It is built without a folder: COPY and ADD have nothing to take.",
                    )
                if line:
                    say("%s", line)
    except BROKEN as error:
        if refused(error):
            raise UserErrorException(
                f"the Dockerfile of the step cannot be built. {explained(error)}"
            ) from error
        raise broken("cannot build an image", error) from error


@contextmanager
def _alone(image: str) -> Iterator[None]:
    """Inside, no other step on this machine builds that image."""
    folder = os.path.join(cache_folder(), "images")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, f"{image.rpartition(':')[2]}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def remove_of_step(client: APIClient, step_run_id: str) -> None:
    """Removes the containers that earlier attempts at a step have left."""
    left = client.containers(all=True, filters={"label": f"{LABEL}={step_run_id}"})
    for each in left:
        client.remove_container(each["Id"], force=True, v=True)


def broken(what: str, error: Exception) -> ComputeTargetException:
    """The engine does not do what it is asked to: worth another try."""
    return ComputeTargetException(f"the Docker engine {what}: {explained(error)}")


def refused(error: Exception) -> bool:
    """Whether the engine says that it was asked for something wrong."""
    return getattr(error, "status_code", None) in _REFUSED


def explained(error: Exception) -> str:
    """The engine's own words."""
    text = getattr(error, "explanation", None) or str(error)
    if isinstance(text, bytes):
        text = text.decode("utf-8", "replace")
    return str(text).strip().rstrip(".") + "."
