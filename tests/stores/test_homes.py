"""Workspaces on every kind of store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace.home import open_home
from airflow_aml.workspace.plans import PlannedStep, RunPlan, read_plan, write_plan
from airflow_aml.workspace.stores.base import Store
from tests.stores.places import Place, remote_only


def test_everybody_opens_the_same_workspace(place: Place) -> None:
    """Of twenty who open a new workspace at once, all get one uuid, and later ones too."""
    with ThreadPoolExecutor(20) as pool:
        homes = list(pool.map(lambda _: open_home(place.url, "team", place.options), range(20)))
    assert len({home.uuid for home in homes}) == 1
    assert open_home(place.url, "team", place.options) == homes[0]
    assert [each.path for each in homes[0].store.find()] == ["workspace.json"]


def test_files_of_a_workspace(place: Place) -> None:
    """What is written through the store has the URI that the workspace tells."""
    home = open_home(place.url, options=place.options)
    home.store.write("runs/a b/plan.json", b"{}")
    assert home.store.read("runs/a b/plan.json") == b"{}"
    assert home.uri("runs/a b/plan.json") == home.store.uri("runs/a b/plan.json")
    assert home.is_local == (place.kind == "local")


def test_plans_are_kept_everywhere(place: Place) -> None:
    """A run's plan comes back as it was, from every kind of store."""
    home = open_home(place.url, options=place.options)
    steps = {name: PlannedStep(f"sha256:{name}") for name in ("x", "y")}
    plan = RunPlan("dag", "run", "experiment", "team", {"a": 1}, steps)
    assert read_plan(home, "id") is None
    write_plan(home, "id", plan)
    assert read_plan(home, "id") == plan
    assert read_plan(home, "id", "y") == replace(plan, steps={"y": steps["y"]})


@pytest.mark.parametrize("place", ["memory", "azure", "s3"], indirect=True)
def test_remote_workspace_has_no_path(place: Place) -> None:
    """What needs a local folder is refused with the workspace's URL."""
    home = open_home(place.url, options=place.options)
    for attempt in (lambda: home.root, lambda: home.path("data/x")):
        with pytest.raises(WorkspaceException, match=r"a folder.*no local path"):
            attempt()
    assert home.name == "a folder"


@remote_only
def test_repr_of_a_workspace_has_no_credential(place: Place) -> None:
    """A workspace can be printed."""
    home = open_home(place.url, options=place.options)
    assert repr(home) == f"Home(url={home.url!r}, uuid={home.uuid!r}, name='a folder')"


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"uuid": "x", "layout_version": 1}'])
def test_damaged_workspace_is_named(store: Store, place: Place, content: bytes) -> None:
    """A workspace document that is none is told by its place."""
    store.write("workspace.json", content)
    with pytest.raises(WorkspaceException, match=r"workspace\.json"):
        open_home(place.url, options=place.options)


def test_workspace_of_a_later_release(store: Store, place: Place) -> None:
    """A layout that this release does not know is refused."""
    uuid = "8b0ad5b5-6a3d-4b37-9f0e-1d2f3a4b5c6d"
    store.write("workspace.json", f'{{"uuid": "{uuid}", "layout_version": 99}}'.encode())
    with pytest.raises(WorkspaceException, match="later release"):
        open_home(place.url, options=place.options)
