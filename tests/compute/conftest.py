"""A real Docker engine for the tests of this folder."""

from __future__ import annotations

import pytest

from scripts.docker_engine import docker_engine
from scripts.test_servers import NotInstalledError


@pytest.fixture(scope="session")
def engine():
    """An engine, where one can be had."""
    try:
        with docker_engine() as found:
            yield found
    except NotInstalledError as error:
        pytest.skip(str(error))
