"""The step contract in containers of a real Docker engine."""

import signal

import pytest

from airflow_aml.testing import *  # noqa: F403 - with its fixtures
from airflow_aml.testing import StepContract
from scripts.docker_engine import IMAGE


class Docker(StepContract):
    """What all that runs in containers has in common."""

    transport = "mounts"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _engine(cls, engine):
        cls.engine = engine

    def document(self):
        return {
            "kind": "docker",
            "image": IMAGE,
            "engine": self.engine.address,
            "network": "none",
            "transport": self.transport,
        }

    @pytest.fixture(autouse=True)
    def _here(self, laboratory):
        self.workspace = laboratory.workspace

    def leftovers(self):
        """Others may use the engine, too: containers of this workspace's steps count."""
        label = "airflow_aml.step"
        shown = f'{{{{.Label "{label}"}}}}'
        running = self.engine.docker("ps", "-a", "--filter", f"label={label}", "--format", shown)
        return {path.name for path in self.workspace.glob("runs/*/steps/*")} & set(running.split())


class TestDocker(Docker):
    """Containers that see the worker's folders."""

    def test_a_run_that_is_killed_outright_leaves_no_container(self, laboratory):
        """Whoever watches removes it."""
        self.kill(laboratory, signal.SIGKILL)


@pytest.mark.soak
class TestPackages(Docker):
    """Containers with packages beside their image."""

    packages = ("six==1.16.0",)


@pytest.mark.soak
class TestArchive(Docker):
    """Containers that see nothing of the worker: all is sent, and fetched."""

    transport = "archive"
    packages = ("six==1.16.0",)
