"""The demo in three places: old pandas in an environment of its own, a container, the worker."""

from __future__ import annotations

import json
from importlib.metadata import version

import pytest

from scripts import templates
from scripts.docker_image import make_image

OURS = "aml-training:1"
ENVIRONMENTS = """
from airflow_aml import CondaDependencies, RunConfiguration

old, boxed = RunConfiguration(), RunConfiguration()
old.environment.python.conda_dependencies = CondaDependencies.create(
    pip_packages=["pandas=={pandas}", "numpy==1.26.4", "scikit-learn==1.3.2"])
boxed.environment.python.conda_dependencies = CondaDependencies.create(pip_packages={installed!r})
ws ="""
NAMES = ("prepare", "train", "evaluate")


@pytest.fixture
def demo(engine, monkeypatch, tmp_path, one_dag):
    """The demo's pipeline with prepare's pandas in that version, and train in a container."""
    box = {"kind": "docker", "image": OURS, "engine": engine.address, "network": "none"}
    monkeypatch.setenv("AIRFLOW__AML__COMPUTES", json.dumps({"box": box, "default": {}}))
    make_image(OURS, engine.address)
    file = templates.copy("diabetes", tmp_path / "dags", replace=True) / "pipeline.py"
    text = file.read_text()
    for name, config, compute in (("prepare", "old", "cpu-cluster"), ("train", "boxed", "box")):
        before = f'compute_target="cpu-cluster",\n    source_directory="{name}",'
        assert before in text
        after = f'compute_target="{compute}", runconfig={config}, source_directory="{name}",'
        text = text.replace(before, after)
    installed = [f"{name}=={version(name)}" for name in ("pandas", "scikit-learn", "numpy")]

    def make(pandas):
        given = ENVIRONMENTS.format(pandas=pandas, installed=installed)
        file.write_text(text.replace("\nws =", given))
        return one_dag()

    return make


def ran(result):
    """What a run did with each step, by name."""
    return [result.xcom(name)["status"] if result.states[name] == "success" else "Reused"
            for name in NAMES]  # fmt: skip


@pytest.mark.soak
def test_the_demo_runs_in_three_places_and_only_what_changes_runs_again(
    demo, engine, run_dag, capfd
):
    """All reused at the second run; another image or another pin runs just its own step."""
    first = run_dag(demo("1.5.3"))

    said = "".join(capfd.readouterr())
    assert first.state == "success", said
    assert ran(first) == ["Finished", "Finished", "Finished"]
    assert said.count("environment built: Python") == 2
    assert f"Starting docker container from image {OURS}" in said
    metrics = json.loads((first.output("evaluate", "metrics") / "metrics.json").read_text())
    assert 0 < metrics["r2"] < 1

    assert ran(run_dag(demo("1.5.3"))) == ["Reused", "Reused", "Reused"]

    container = engine.docker("create", OURS, "true")
    engine.docker("commit", container, OURS)
    engine.docker("rm", container)
    another_image = run_dag(demo("1.5.3"))
    assert ran(another_image) == ["Reused", "Finished", "Reused"]
    assert another_image.xcom("train")["reason"].startswith("the image changed from sha256:")

    another_pin = run_dag(demo("1.5.2"))
    assert ran(another_pin) == ["Finished", "Reused", "Reused"]
    reason = another_pin.xcom("prepare")["reason"]
    assert reason == "package pandas changed from 1.5.3 to 1.5.2"
