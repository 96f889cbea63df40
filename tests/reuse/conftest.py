"""A workspace, a step, and a small world in which steps leave real outputs and records."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from airflow_aml.definition.spec import InputSpec, NodeSpec, OutputSpec, StepOutput
from airflow_aml.reuse.fingerprint import Fingerprint, KeyFacts, complete, key_template
from airflow_aml.reuse.index import Index
from airflow_aml.reuse.places import Places, stamp
from airflow_aml.reuse.records import OutputRecord, StepRecord, now
from airflow_aml.reuse.verify import Verifier
from airflow_aml.reuse.walk import Decision, Rules, WalkStep, walk
from airflow_aml.workspace import layout, manifests
from airflow_aml.workspace.home import Home, open_home
from airflow_aml.workspace.uris import uri_of_path

FACTS = KeyFacts(snapshot="sha256:51", environment="sha256:e1")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(str(tmp_path / "workspace"))


@dataclass
class World:
    """A pipeline's steps and what they have left: ``run`` executes, ``ask`` walks."""

    home: Home
    nodes: list[NodeSpec] = field(default_factory=list)
    facts: dict[str, KeyFacts] = field(default_factory=dict)
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    runs: int = 0

    def step(
        self, task: str, reads: tuple[str, ...] = (), after: tuple[str, ...] = (), **more: Any
    ) -> None:
        """Adds a step with one output ``out`` that reads the outputs of other steps."""
        inputs = tuple(InputSpec(each, StepOutput(each, "out")) for each in reads)
        policies = {key: more.pop(key) for key in ("allow_reuse", "max_age") if key in more}
        self.facts[task] = more.pop("facts", FACTS)
        self.policies[task] = policies
        more.setdefault("outputs", (OutputSpec("out"),))
        self.nodes.append(NodeSpec(task, task, f"{task}.py", inputs=inputs, after=after, **more))

    @property
    def steps(self) -> list[WalkStep]:
        return [
            WalkStep(
                node.id,
                node.name,
                key_template(node, self.facts[node.id]),
                node.upstream,
                **self.policies[node.id],
            )
            for node in self.nodes
        ]

    def ask(
        self,
        settled: dict[str, dict[str, str]] | None = None,
        steps: list[WalkStep] | None = None,
        verifier: Verifier | None = None,
        **rules: Any,
    ) -> dict[str, Decision]:
        return walk(
            self.steps if steps is None else steps,
            settled or {},
            Index(self.home),
            verifier or Verifier(self.home),
            Rules(**rules),
        )

    def decisions(self, *args: Any, **rules: Any) -> dict[str, str]:
        return {task: each.decision for task, each in self.ask(*args, **rules).items()}

    def run(self, contents: dict[str, str] | None = None) -> dict[str, StepRecord]:
        """Executes every step that the walk does not reuse; returns what each then has."""
        self.runs += 1
        results: dict[str, StepRecord] = {}
        for step in self.steps:
            known = {task: record.digests for task, record in results.items()}
            decision = self.ask(known)[step.id]
            if decision.record is not None:
                results[step.id] = decision.record
            else:
                text = (contents or {}).get(step.id, f"made by {step.id}")
                results[step.id] = self.execute(step, complete(step.key, known), text)
        return results

    def execute(self, step: WalkStep, fingerprint: Fingerprint, text: str) -> StepRecord:
        """One execution: an output in the workspace, and its record."""
        run = f"run-{self.runs}"
        run_id = layout.pipeline_run_id(self.home.uuid, "dag", run)
        step_run = layout.step_run_id(run_id, step.id)
        place = self.home.path(layout.data(step_run, "out"))
        place.mkdir(parents=True)
        (place / "part.txt").write_text(text)
        record = record_of(
            self.home,
            fingerprint,
            {"out": place},
            pipeline_run_id=run_id,
            step_run_id=step_run,
            task_id=step.id,
            run_id=run,
            step=step.name,
        )
        Index(self.home).add(record)
        return record


def record_of(
    home: Home, fingerprint: Fingerprint, places: dict[str, Path], **more: Any
) -> StepRecord:
    """A record of outputs that are there."""
    values: dict[str, Any] = {
        "fingerprint": fingerprint.digest,
        "key": fingerprint.record,
        "outputs": {name: output_of(home, place) for name, place in places.items()},
        "pipeline_run_id": "p-1",
        "step_run_id": "s-1",
        "dag_id": "dag",
        "task_id": "train",
        "run_id": "manual__1",
        "step": "train",
        "seconds": 2.0,
        "created": now(),
    }
    return StepRecord(**{**values, **more})


def output_of(home: Home, place: Path, view: Path | None = None) -> OutputRecord:
    """What a record says of an output that is there."""
    manifest = manifests.build(place)
    uri = uri_of_path(place)
    return OutputRecord(
        uri, manifest.digest, len(manifest.files), manifest.bytes, stamp(uri, Places(home))
    )


def a_key(**more: Any) -> Fingerprint:
    """The key of a step with one output ``model`` and no inputs."""
    node = NodeSpec("train", "train", "train.py", outputs=(OutputSpec("model"),))
    facts = KeyFacts(**{"snapshot": "sha256:51", "environment": "sha256:e1", **more})
    return complete(key_template(node, facts), {})


@pytest.fixture
def world(home: Home) -> World:
    return World(home)
