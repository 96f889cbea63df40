"""Real stores: a folder, this process's memory, Azurite, and moto's S3."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_aml.workspace.stores.base import Store
from scripts import test_servers
from scripts.test_servers import NotInstalledError, Server, make_container
from tests.stores.places import EVERYWHERE, Place


@pytest.fixture(scope="session")
def azurite() -> Iterator[Server]:
    try:
        server = test_servers.azurite()
    except NotInstalledError as reason:
        pytest.skip(str(reason))
    with server:
        make_container(server, "tests")
        yield server


@pytest.fixture(scope="session")
def s3() -> Iterator[Server]:
    try:
        server = test_servers.s3()
    except NotInstalledError as reason:
        pytest.skip(str(reason))
    with server:
        make_container(server, "tests")
        yield server


@pytest.fixture(params=EVERYWHERE)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    kind = request.param
    if kind == "local":
        return Place(kind, f"file://{tmp_path}/store")
    folder = f"{uuid.uuid4().hex}/a folder"
    if kind == "memory":
        return Place(kind, f"memory://{folder}")
    server = request.getfixturevalue("azurite" if kind == "azure" else "s3")
    scheme = "abfs" if kind == "azure" else "s3"
    return Place(kind, f"{scheme}://tests/{folder}", server.options, server)


@pytest.fixture
def store(place: Place) -> Store:
    return place.open()
