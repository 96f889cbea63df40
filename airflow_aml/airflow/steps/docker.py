"""Steps in containers: staged and committed by the worker, the script itself in an image's Python.

The container needs no Airflow and nothing of this package: its work folder brings what a script may
import of it.
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk.exceptions import AirflowException
from docker import APIClient
from docker.types import DeviceRequest
from docker.utils import parse_bytes

from airflow_aml.airflow.steps import archives, containers
from airflow_aml.airflow.steps.halt import raise_halt
from airflow_aml.airflow.steps.local import has_supervisor
from airflow_aml.airflow.steps.mixin import AmlStepMixin
from airflow_aml.airflow.steps.mounts import step_mounts
from airflow_aml.airflow.steps.shown import shown_command
from airflow_aml.airflow.steps.software import packages_beside
from airflow_aml.compute.docker import engine_of, image_of, transport_of
from airflow_aml.compute.placement import MOUNTS
from airflow_aml.definition.spec import NodeSpec
from airflow_aml.errors import AirflowAmlError, ComputeTargetException, UserErrorException
from airflow_aml.reuse.environment import of_image
from airflow_aml.runtime import contained
from airflow_aml.runtime.masking import remember
from airflow_aml.runtime.process import Ended, Sink, WholeLines
from airflow_aml.runtime.secrets import SECRETS_VARIABLE
from airflow_aml.runtime.stopping import Stop
from airflow_aml.runtime.travelling import paths_of, runtime_zip
from airflow_aml.workspace.computes import ComputeRecord

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_aml.airflow.steps.assemble import StepRun
    from airflow_aml.runtime.inline import InlineRuntime
    from airflow_aml.runtime.job import StepJob, StepReport
    from airflow_aml.runtime.stage import Staged

_PYTHONS = ("python3", "python")
_SHM_SIZE = "2g"
_LOOK = 0.1


class ContainerOperator(DockerOperator):
    """Docker's operator with the step runtime around it."""

    inline: InlineRuntime | None = None
    report: StepReport | None = None
    engine: containers.StepEngine | None = None

    def execute(self, context: Context) -> None:
        """Runs the step to its end."""
        assert self.inline is not None
        self.report = self.inline.run()

    def run_container(self, python: str, arguments: list[str]) -> None:
        """Runs the container to its end, as Docker's own operator does."""
        self.entrypoint, self.command = [python], arguments
        super().execute({})

    @property
    def cli(self) -> Any:
        """The engine's client."""
        return self.engine or self.hook.api_client

    def on_kill(self) -> None:
        """Ends the step; its container is stopped and removed."""
        if self.inline is not None:
            self.inline.stop("Airflow ended its task")


class DockerStepOperator(AmlStepMixin, ContainerOperator):  # type: ignore[misc] # command
    """One step of a pipeline, run in a container.

    Args:
        node: the step.
        compute: where it runs.
        image: what it runs in.
        workspace: the name of the pipeline's workspace.
        folder: absolute; local input paths of the definition start here.
    """

    template_fields: Sequence[str] = ("command",)
    template_fields_renderers = {"command": "bash"}
    template_ext: Sequence[str] = ()
    ui_color = "#d7e9ff"
    custom_operator_name = "PythonScriptStep"
    python = ""
    packages: tuple[str, ...] = ()
    """The folder of the packages beside its image, if it asks for any; for that Python."""

    def __init__(
        self,
        *,
        node: NodeSpec,
        compute: ComputeRecord,
        image: str,
        workspace: str = "",
        folder: str = ".",
        **kwargs: Any,
    ):
        super().__init__(
            image=image,
            docker_url=engine_of(compute),
            api_version="auto",
            docker_conn_id=compute.connection,
            network_mode=compute.network,
            mem_limit=compute.memory,
            shm_size=parse_bytes(compute.shm_size or _SHM_SIZE),
            user=compute.user or f"{os.getuid()}:{os.getgid()}",
            device_requests=_gpus(compute.gpu or 0),
            auto_remove="force",
            mount_tmp_dir=False,
            log_opts_max_size="1m",  # the step's record has all of it
            log_opts_max_file="1",
            **kwargs,
        )
        self.node = node
        self.compute = compute
        self.workspace = workspace
        self.folder = folder
        self.command = shown_command(node)

    def assemble(self, context: Context) -> StepRun:
        """The step in this run, with its image, which is pulled where it is not here.

        Raises:
            AirflowFailException: there is no such image.
            AirflowException: the engine or the registry does not answer.
        """
        run = super().assemble(context)
        self.image = image_of(self.node, self.compute)
        where = f"step {self.node.name!r}, compute {self.compute.name!r}"
        try:
            found = self._image()
            if run.try_number > 1:
                containers.remove_of_step(self._client(), run.id)
        except (AirflowAmlError, *containers.BROKEN) as error:
            raise_halt(
                run,
                f"{where}: {error}",
                cause=error,
                fatal=isinstance(error, UserErrorException),
            )
        return replace(run, software=of_image(found))

    def _image(self) -> str:
        """What the step's key has of its image, which is there from now on."""
        dockerfile = self.node.settings.environment.dockerfile
        if dockerfile is None:
            return containers.image_id(self._client(), self.image, self.log.info)
        containers.build_image(self._client(), self.image, dockerfile, self.log.info)
        return str(self.image)

    def _client(self) -> APIClient:
        try:
            return self.hook.api_client
        except (AirflowException, *containers.BROKEN) as error:
            raise ComputeTargetException(
                f"the Docker engine at {self.docker_url} does not answer ({error})",
                hint="Start it, or set the compute's 'engine'.",
            ) from error

    def equip(self, run: StepRun, job: StepJob) -> StepJob:
        """The job as it is; the packages that the step asks for beside its image are made."""
        self.python, packages = packages_beside(run, self.log.info)
        self.packages = (packages,) if packages else ()
        return job

    def configure(self, job: StepJob) -> None:
        """Gets the runtime ready for the job."""
        from airflow_aml.runtime.inline import InlineRuntime

        assert self.step_run is not None
        name = f"aml-{job.attempt}"
        self.container_name = name
        self.labels = {containers.LABEL: self.step_run.id}
        self.inline = InlineRuntime(
            job,
            lambda line: self.log.info("%s", line),
            self.handed_stores(),
            watch_parent=has_supervisor(),
            environ={"HOME": job.work},
            place=partial(self._place, job),
            sweep=("-m", "airflow_aml.compute.removal", str(self.docker_url), name),
        )

    def read_report(self, job: StepJob) -> StepReport | None:
        """The report of the runtime, which was in this process."""
        return self.report

    def _place(self, job: StepJob, staged: Staged) -> Callable[..., Ended]:
        assert self.step_run is not None
        shutil.copyfile(contained.__file__, os.path.join(job.work, "contained.py"))
        shutil.copyfile(runtime_zip(), os.path.join(job.work, "airflow_aml.zip"))
        if transport_of(self.compute) == MOUNTS:
            hosts = self.compute.host_path_map
            self.mounts = step_mounts(self.step_run.home, job, staged, hosts, self.packages)
            return partial(self._run_script, job, None)
        return partial(self._run_script, job, staged)

    def _run_script(
        self,
        job: StepJob,
        sent: Staged | None,
        command: Sequence[str],
        *,
        cwd: str,
        environ: Mapping[str, str],
        stop: Stop,
        kill_after: float,
        meanwhile: Callable[[], object],
        sinks: tuple[Sink, Sink],
        **_: Any,
    ) -> Ended:
        """Runs the script in the container: what the runtime asks for instead of a process.

        Args:
            sent: what goes there by archive; None where the container sees it.
        """
        started = time.monotonic()
        meanwhile()
        # What is asked here cannot be asked from there.
        ours = ("PYTHONPATH",) if sent is None else ("PYTHONPATH", SECRETS_VARIABLE)
        variables = {name: value for name, value in environ.items() if name not in ours}
        zipped, door = paths_of(os.path.join(job.work, "airflow_aml.zip"))
        path = [environ.get("PYTHONPATH", ""), zipped, *self.packages, door]
        variables[contained.PATH_VARIABLE] = os.pathsep.join(filter(None, path))
        variables[contained.PYTHON_VARIABLE] = self.python
        self._private_environment = variables
        ended = os.path.join(job.work, "ended")
        first = os.path.join(job.work, "contained.py")
        arguments = ["-I", "-S", first, ended, cwd, *command[1:]]
        streams = WholeLines(sinks[0], stop), WholeLines(sinks[1], stop)
        client = self._client()
        self.engine = containers.StepEngine(
            client,
            cpu=self.compute.cpu,
            streams=streams,
            **self._transport(client, job, sent),
        )
        over = threading.Event()
        watch = threading.Thread(target=self._watch, args=(stop, kill_after, over), daemon=True)
        watch.start()
        try:
            self._run_container(arguments)
        finally:
            over.set()
            watch.join()
        code, cause = self._outcome(ended, streams[1])
        return Ended(code, time.monotonic() - started, streams[1].last_lines, (), cause)

    def _transport(self, client: APIClient, job: StepJob, sent: Staged | None) -> dict[str, Any]:
        """What is done with a container before it starts, and after it has ended."""
        if sent is None:
            return {}
        goods: dict[str, Any] = {"job": job, "staged": sent}
        more: dict[str, Any] = {"user": str(self.user), "packages": self.packages}
        return {
            "filled": partial(archives.send, client, secrets=self._handed(), **more, **goods),
            "emptied": partial(archives.fetch, client, **goods),
        }

    def _handed(self) -> dict[str, str | None]:
        """The secrets that the compute names; what shows them in the script's lines is hidden."""
        from airflow_aml.airflow import secrets

        handed = secrets.named(self.compute.secrets)
        for value in filter(None, handed.values()):
            remember(value)
        return handed

    def _run_container(self, arguments: list[str]) -> None:
        """With the first Python that the image has.

        Raises:
            UserErrorException: it has none, or the engine refuses the container.
            ComputeTargetException: the engine is lost.
        """
        pythons = [self.compute.interpreter] if self.compute.interpreter else _PYTHONS
        for python in pythons:
            try:
                self.run_container(python, arguments)
            except AirflowException:  # the script failed; its own code tells
                return
            except containers.BROKEN as error:
                reason = containers.explained(error)
                if "executable file not found" in reason or "no such file" in reason:
                    continue
                kind = UserErrorException if containers.refused(error) else ComputeTargetException
                raise kind(f"the container of image {self.image!r} cannot run: {reason}") from error
            else:
                return
        raise UserErrorException(
            f"the image {self.image!r} has no Python: there is no {' or '.join(pythons)} in it.",
            hint="Use an image with Python 3.8 or later, or set the compute's 'interpreter'.",
        )

    def _outcome(self, ended: str, errors: WholeLines) -> tuple[int, str]:
        """The script's exit code, negative for a signal, and the reason where it is known."""
        assert self.engine is not None
        state = self.engine.state
        cause = ""
        if state.get("OOMKilled"):
            limit = self.compute.memory or "the engine's"
            cause = f"Its container ran out of memory (the limit is {limit})."
        try:
            with open(ended, encoding="utf-8") as stream:
                how, _, number = stream.read().partition(" ")
        except OSError:
            how = number = ""
        if how:
            return (-int(number) if how == "signal" else int(number)), cause
        code = state.get("ExitCode")
        said = " ".join(errors.last_lines[-1:])
        if code == contained.TOO_OLD:
            raise UserErrorException(f"steps need Python 3.8 or later: {said}")
        if code == contained.ANOTHER_PYTHON:
            raise UserErrorException(
                f"the packages of the step are for Python {self.python}: {said}",
                hint="Ask for the image's own: CondaDependencies.create(python_version=...).",
            )
        if code == contained.CANNOT_WRITE:
            raise UserErrorException(
                f"the user {self.user} of the container cannot write the step's folder: {said}",
                hint="Set the compute's 'user' to one that can, or leave it to the worker's own.",
            )
        raise ComputeTargetException(
            f"the container was ended from outside (exit code {code}). {cause}".rstrip()
        )

    def _watch(self, stop: Stop, kill_after: float, over: threading.Event) -> None:
        """Stops the container when the step is to end. A client is not for two threads."""
        while not over.wait(_LOOK):
            stop.look()
            if stop.requested and self.engine is not None and self.engine.container:
                with suppress(*containers.BROKEN):  # it is over, or nobody can stop it
                    client = APIClient(base_url=self.docker_url, version="auto")
                    try:
                        client.stop(self.engine.container, timeout=int(kill_after))
                    finally:
                        client.close()
                return


def _gpus(count: int) -> list[DeviceRequest] | None:
    return [DeviceRequest(count=count, capabilities=[["gpu"]])] if count else None
