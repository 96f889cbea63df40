"""plan.json: what a run's first task decided, and what every step of that run obeys."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Dict, Optional, Tuple, Union

from airflow_aml.codec import decode, encode
from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace import layout
from airflow_aml.workspace.documents import parse_json
from airflow_aml.workspace.home import Home

PLAN_VERSION = 1


@dataclass(frozen=True)
class PlannedInput:
    """What a dataset input means for the whole run.

    Attributes:
        id: of the dataset's definition; stands in argv in direct mode.
        definition: the dataset as a document, with nothing left open.
        name, version: where it is registered, if it is.
    """

    id: str
    definition: Dict[str, Any] = field(default_factory=dict)
    name: Optional[str] = None
    version: Optional[int] = None


@dataclass(frozen=True)
class PlannedStep:
    """What the plan says of one step.

    Attributes:
        snapshot: content digest of its source folder at the start of the run.
        decision: ``run``, ``reuse``, or ``depends`` on steps that have to finish first.
        reason: one sentence that says why.
        inputs: by port name, those that no other step writes.
        name: v1's step name.
        key: the template of its key; see :mod:`airflow_aml.reuse.fingerprint`.
        upstream: ids of all steps that it waits for.
        outputs: names of its outputs.
        max_age: of a result that may be reused, in seconds.
        source: step-run id of the result that is reused.
        offers: what the whole pipeline calls some of its outputs -> their names.
        lock: of its own environment; empty where it has none.
        environment: what the name of its environment means, as a document; empty where it has no
            such name, or runs in no container.
        image: what counts of the image of its container: a digest, or a name that is never another
            image's; empty where it runs in none, or that cannot be told.
        registers: its outputs that become registered datasets, name -> how, as documents.
        shared: of these the names that other steps register, too, and which steps these are.
        asks: of inputs that a pipeline parameter chooses, that parameter and what it names.
    """

    snapshot: str
    decision: str = "run"
    reason: str = ""
    inputs: Dict[str, PlannedInput] = field(default_factory=dict)
    name: str = ""
    key: Dict[str, Any] = field(default_factory=dict)
    upstream: Tuple[str, ...] = ()
    outputs: Tuple[str, ...] = ()
    allow_reuse: bool = True
    max_age: Optional[float] = None
    source: str = ""
    offers: Dict[str, str] = field(default_factory=dict)
    lock: Dict[str, Any] = field(default_factory=dict)
    registers: Dict[str, Any] = field(default_factory=dict)
    shared: Dict[str, Any] = field(default_factory=dict)
    asks: Dict[str, Tuple[str, ...]] = field(default_factory=dict)
    environment: Dict[str, Any] = field(default_factory=dict)
    image: str = ""


@dataclass(frozen=True)
class RunPlan:
    """The decisions of one pipeline run.

    Attributes:
        dag_id, run_id: Airflow's names of the run.
        parameters: the values that hold for the whole run.
        steps: by task id.
        continue_on_step_failure: whether steps may still start after one has failed.
        regenerate: every step runs, whatever earlier results there are.
        script: of a run of one script, the task that runs it.
        git: what git said of each source folder when the run began, by v1's names of properties.
    """

    dag_id: str
    run_id: str
    experiment: str
    workspace: str
    parameters: Dict[str, Union[str, int, float, bool]] = field(default_factory=dict)
    steps: Dict[str, PlannedStep] = field(default_factory=dict)
    continue_on_step_failure: bool = False
    regenerate: bool = False
    tags: Dict[str, str] = field(default_factory=dict)
    git: Dict[str, Dict[str, str]] = field(default_factory=dict)
    version: int = PLAN_VERSION
    script: str = ""


def write_plan(home: Home, pipeline_run_id: str, plan: RunPlan) -> None:
    """Stores the plan of a run; a second call replaces the first whole."""
    document = encode(replace(plan, steps={}))
    # Keys are plain JSON, and by far the most of a long pipeline's plan.
    document["steps"] = {
        name: {**encode(replace(step, key={})), "key": step.key}
        for name, step in plan.steps.items()
    }
    home.store.write(layout.plan(pipeline_run_id), json.dumps(document).encode())


def read_plan(home: Home, pipeline_run_id: str, step: Optional[str] = None) -> Optional[RunPlan]:
    """The plan of a run; None when the run has none (a step in a hand-written DAG).

    Args:
        step: leave all other steps out, which in a long pipeline's plan take a while to read.

    Raises:
        WorkspaceException: it is of a later release, or damaged.
    """
    store, path = home.store, layout.plan(pipeline_run_id)
    try:
        document: Any = parse_json(store.read(path), store.uri(path))
    except FileNotFoundError:
        return None
    version = document.get("version", 0) if isinstance(document, dict) else 0
    if version > PLAN_VERSION:
        raise WorkspaceException(
            f"it was written by a later release (version {version}).", where=store.uri(path)
        )
    if step is not None and isinstance(document, dict):
        document["steps"] = {k: v for k, v in document.get("steps", {}).items() if k == step}
    return decode(RunPlan, document)


def write_definition(home: Home, pipeline_run_id: str, spec: Dict[str, Any], folder: str) -> None:
    """Keeps what a run was made from, for who publishes it.

    Args:
        spec: a PipelineSpec, as a document.
        folder: where its relative paths start.
    """
    document = {"version": PLAN_VERSION, "spec": spec, "folder": folder}
    home.store.write(layout.definition(pipeline_run_id), json.dumps(document).encode())


def read_definition(home: Home, pipeline_run_id: str) -> Optional[Tuple[Dict[str, Any], str]]:
    """The spec and the folder that a run was made from; None if the run has not kept them.

    Raises:
        WorkspaceException: the document is damaged.
    """
    store, path = home.store, layout.definition(pipeline_run_id)
    try:
        document: Any = parse_json(store.read(path), store.uri(path))
        return dict(document["spec"]), str(document["folder"])
    except FileNotFoundError:
        return None
    except (LookupError, TypeError, ValueError) as error:
        raise WorkspaceException("this document is damaged.", where=store.uri(path)) from error


def write_reused(home: Home, pipeline_run_id: str, walker: str, steps: Dict[str, Any]) -> None:
    """Keeps what one walk of a run has found done already.

    Args:
        walker: the task that walked.
        steps: task id -> its XComs by key: ``return_value`` and the outputs.
    """
    from airflow_aml.workspace.summaries import changing

    path = f"{layout.run(pipeline_run_id)}/reused/{walker}.json"
    with changing(home, pipeline_run_id):
        home.store.write(path, json.dumps({"version": PLAN_VERSION, "steps": steps}).encode())


def read_reused(home: Home, pipeline_run_id: str) -> Dict[str, Any]:
    """All of it: task id -> XComs by key.

    Raises:
        WorkspaceException: a document is damaged.
    """
    store, folder = home.store, f"{layout.run(pipeline_run_id)}/reused/"
    found: Dict[str, Any] = {}
    for name in store.children(folder):
        document: Any = parse_json(store.read(folder + name), f"{store.url}/{folder}{name}")
        found.update(document.get("steps", {}))
    return found
