"""How a run is planned by its first task, the reuse sensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from airflow_aml.airflow import copies, datachange, mlflow, parameters, skipping, xcoms
from airflow_aml.airflow.datachange import Change
from airflow_aml.airflow.settings import (
    computes,
    environment_setting,
    open_workspace,
    price_per_hour,
)
from airflow_aml.codec import encode
from airflow_aml.compute import NamedComputes
from airflow_aml.definition.applying import apply_setup
from airflow_aml.definition.dataparameters import bind
from airflow_aml.definition.published import disabled
from airflow_aml.definition.registered import PinnedDataset, save_definitions
from airflow_aml.definition.spec import EnvironmentSpec, NodeSpec, PipelineSpec
from airflow_aml.errors import (
    AirflowAmlError,
    SnapshotException,
    UserErrorException,
    WorkspaceException,
)
from airflow_aml.reuse.absent import Absent, refuse_absent, refuse_absent_datastores
from airflow_aml.reuse.facts import RunFacts, walk_steps
from airflow_aml.reuse.fingerprint import read_from
from airflow_aml.reuse.index import Index
from airflow_aml.reuse.lookup import decide, duration
from airflow_aml.reuse.walk import (
    DEPENDS,
    REUSE,
    Decision,
    WalkStep,
    first_warnings,
    names_of,
)
from airflow_aml.workspace import layout, snapshots
from airflow_aml.workspace.computes import LOCAL
from airflow_aml.workspace.gitstate import GitLook
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.plans import (
    PlannedInput,
    PlannedStep,
    RunPlan,
    read_plan,
    write_definition,
    write_plan,
    write_reused,
)
from airflow_aml.workspace.published import is_enabled, refuse_missing
from airflow_aml.workspace.runs import write_head

if TYPE_CHECKING:
    from airflow.sdk import Context

    from airflow_aml.airflow.reuse import ReuseSensor
    from airflow_aml.reuse.software.locks import Lock

Pinned = Mapping[str, Mapping[str, PinnedDataset]]
Locks = Mapping[str, "Lock"]
"""Node id -> the lock of the step's own environment."""
Named = Mapping[str, EnvironmentSpec]
"""Node id -> the environment that its name means."""

_MOST_ALIKE = 10

_UNDECIDED = Decision(DEPENDS, "")
_NOTHING = EnvironmentSpec()


class RunPlanning:
    """What the reuse sensor does when it runs.

    Args:
        sensor: the task.
    """

    def __init__(self, sensor: ReuseSensor) -> None:
        self.dag, self.dag_id, self.task_id = sensor.dag, sensor.dag_id, sensor.task_id
        self.spec, self.folder, self.frozen = sensor.spec, sensor.folder, sensor.frozen
        self.setup, self.settings, self.scheduled = sensor.setup, sensor.settings, sensor.scheduled
        self.log = sensor.log

    def execute(self, context: Context) -> None:
        """See :meth:`ReuseSensor.execute`."""
        home = open_workspace(self.spec.workspace)
        run_id = layout.pipeline_run_id(home.uuid, self.dag_id, context["dag_run"].run_id)
        given, change = self._given(home, run_id, context)
        folders = () if self.frozen else self.spec.sources
        git = GitLook({path: str(Path(self.folder, path)) for path in folders})
        # meanwhile git looks
        plan, steps, pinned, software = self._prepare(home, context, given, change)
        decisions = decide(
            home, self.dag_id, steps, regenerate=plan.regenerate, experiment=plan.experiment
        )
        plan.steps.update(planned_steps(self.spec, steps, pinned, decisions, *software))
        plan.git.update(git.answers())
        found = skipping.hits(decisions)
        saved = sum(each.record.seconds for each in found.values() if each.record)
        value = {
            "pipeline_run_id": run_id,
            "workspace": plan.workspace,
            "steps": len(steps),
            "reused": len(found),
            "saved_seconds": round(saved, 3),
            "parameters": plan.parameters,
            **({datachange.CHANGED: change.told} if change else {}),
        }

        def push() -> None:
            skipping.replay(context, found, self._read_by_others(plan))
            context["ti"].xcom_push(key=skipping.RETURN_VALUE, value=value)

        with xcoms.Writing(push):
            write_plan(home, run_id, plan)
            write_head(home, run_id, plan)
            write_definition(home, run_id, self.spec.to_dict(), self.folder)
            self._say(plan, decisions, names_of(steps))
            kept = {name: skipping.xcoms(each) for name, each in found.items()}
            write_reused(home, run_id, self.task_id, kept)
            self._adopt(home, found)
        mlflow.tell_reused(home, run_id, plan, found)
        self.log.info("the run is kept as %s", run_id)
        skipping.skip(found)

    @property
    def computes(self) -> NamedComputes:
        """The computes that the pipeline's steps can mean."""
        return NamedComputes(computes(), self.setup)

    def _given(
        self, home: Home, run_id: str, context: Context
    ) -> tuple[Mapping[str, Any], Change | None]:
        """The values that the run is given, and the changed files that are its own to work on."""
        if self.scheduled is None:
            return context["params"], None
        from airflow_aml.airflow import scheduling

        try:
            self._refuse_disabled(home)
            given, change = scheduling.begun(
                self.scheduled, home, self.dag_id, self.spec.parameters, context
            )
        except UserErrorException as error:
            raise AirflowFailException(str(error)) from error
        if change is None:
            return given, None
        if not change.files:
            self.log.info("other runs have taken all changed files: every step is skipped")
            value = {"pipeline_run_id": run_id, datachange.CHANGED: change.told}
            context["ti"].xcom_push(key=skipping.RETURN_VALUE, value=value)
            skipping.skip_steps(node.id for node in self.spec.nodes)
        told = change.told
        self.log.info("%s", datachange.note(told["paths"], told["files"], change.datastore))
        return given, change

    def _prepare(
        self, home: Home, context: Context, given: Mapping[str, Any], change: Change | None
    ) -> tuple[RunPlan, list[WalkStep], Pinned, tuple[Locks, Named, Mapping[str, str]]]:
        """Everything that the run's decisions are made from; only this may fail the run."""
        from airflow_aml.compute.engine import Images, refuse_too_large

        conf = context["dag_run"].conf or {}
        settings = {**self.settings, **_settings(conf)}
        for name in parameters.unknown(self.spec.parameters, conf):
            self.log.warning("the run was given %r, which is no parameter of this pipeline", name)
        for text in parameters.warned(settings):
            self.log.warning("%s", text)
        try:
            self._refuse_disabled(home)
            values = parameters.resolve(self.spec.parameters, given)
            self._check_copy(settings.get(copies.COPY), home, context)
            apply_setup(self.setup, self.folder, home, self.log.info)
            self._say_what_is_not_served()
            refuse_too_large(self.computes, self.spec.nodes)
            spec = bind(self.spec, values, home)
            pinned = save_definitions(spec, home, self.folder)
            refuse_absent_datastores(spec, pinned, home)
            absent: list[Absent] = []
            named = self._named(home)
            spec = spec.within(named)
            locks = self._locks(spec, home)
            images = Images(self.computes)
            facts = RunFacts(
                home=home,
                folder=self.folder,
                snapshots=self._snapshots(home),
                parameters={**values, **self._marked(change)},
                pinned=pinned,
                dag_id=self.dag_id,
                warn=self.log.warning,
                elsewhere=images,
                absent=lambda *found: absent.append(found),
                locks=locks,
            )
            steps = walk_steps(spec, facts)
            refuse_absent(absent, spec, pinned, home, self.folder)
        except (UserErrorException, SnapshotException) as error:
            raise AirflowFailException(str(error)) from error
        plan = RunPlan(
            dag_id=self.dag_id,
            run_id=context["dag_run"].run_id,
            experiment=str(
                settings.get("experiment_name") or settings.get("experiment") or self.dag_id
            ),
            workspace=self.spec.workspace,
            parameters=values,
            continue_on_step_failure=bool(
                settings.get("continue_on_step_failure", self.spec.continue_on_step_failure)
            ),
            regenerate=parameters.regenerates(settings, context["params"]),
            tags={str(key): str(value) for key, value in dict(settings.get("tags") or {}).items()},
            script=self.spec.nodes[0].id if self.spec.script else "",
        )
        return plan, steps, pinned, (locks, named, images.found)

    def _marked(self, change: Change | None) -> dict[str, str]:
        watched = self.scheduled.data if self.scheduled else None
        return datachange.marked(watched, self.spec.parameters, change)

    def _here(self) -> list[NodeSpec]:
        """The steps that run in a Python of the worker's."""
        computes = self.computes
        return [node for node in self.spec.nodes if computes.of(node).kind == LOCAL]

    def _named(self, home: Home) -> Named:
        if not any(node.settings.environment.registered for node in self.spec.nodes):
            return {}
        from airflow_aml.reuse.software.registered import named_environments

        contained = self.computes.is_contained
        return named_environments(self.spec, home, contained, get=environment_setting)

    def _locks(self, spec: PipelineSpec, home: Home) -> Locks:
        if all(node.settings.environment == _NOTHING for node in spec.nodes):
            return {}
        from airflow_aml.reuse.software.locking import lock_steps

        return lock_steps(
            spec.nodes,
            home,
            get=environment_setting,
            say=self.log.info,
            contained=self.computes.is_contained,
        )

    def _check_copy(self, sent: Any, home: Home, context: Context) -> None:
        run_id = layout.pipeline_run_id(home.uuid, self.dag_id, context["dag_run"].run_id)
        # A run that was cleared after an edit of Airflow's files is to be one of these.
        if sent and read_plan(home, run_id) is None:
            copies.refuse_another(sent, self.spec, self.folder, home)

    def _adopt(self, home: Home, found: Mapping[str, Decision]) -> None:
        index = Index(home)
        for task_id, each in found.items():
            record = each.record
            if record and (record.dag_id, record.task_id) != (self.dag_id, task_id):
                with suppress(AirflowAmlError, OSError):  # only reasons are told by it
                    index.stands_for(record, self.dag_id, task_id)

    def _read_by_others(self, plan: RunPlan) -> set[str] | None:
        """The steps whose results tasks of this run will read; None if that cannot be known."""
        if set(self.dag.task_ids) - set(plan.steps) - {self.task_id}:
            return None  # a hand-written task beside them may read anything
        return {
            name
            for step in plan.steps.values()
            if step.decision != REUSE
            for name in read_from(step.key)
        }

    def _refuse_disabled(self, home: Home) -> None:
        if self.frozen and self.frozen.id and not is_enabled(home, self.frozen.id):
            raise disabled(self.frozen.id, self.dag_id)

    def _snapshots(self, home: Home) -> dict[str, str]:
        if self.frozen:
            refuse_missing(home, self.frozen)
            return dict(self.frozen.sources)
        return {path: self._snapshot(home, nodes) for path, nodes in self.spec.sources.items()}

    def _say(
        self, plan: RunPlan, decisions: Mapping[str, Decision], names: Mapping[str, str]
    ) -> None:
        for name, value in plan.parameters.items():
            self.log.info("parameter %s = %r", name, value)
        for warning, step_id in first_warnings(decisions).items():
            self.log.warning("step %s: %s", names[step_id], warning)
        for line in told(decisions, names):
            self.log.info("%s", line)
        found = skipping.hits(decisions)
        seconds = sum(each.record.seconds for each in found.values() if each.record)
        self.log.info(
            "%d of %d step%s reused, %s saved%s",
            len(found),
            len(decisions),
            "" if len(decisions) == 1 else "s",
            duration(seconds),
            self._money(seconds),
        )

    def _money(self, seconds: float) -> str:
        try:
            price = price_per_hour()
        except WorkspaceException as error:
            self.log.warning("%s", error)
            return ""
        return f" ({price.text(seconds)})" if price else ""

    def _snapshot(self, home: Home, nodes: Sequence[NodeSpec]) -> str:
        node, scripts = nodes[0], [each.script_name for each in nodes]
        folder = Path(self.folder, node.source_directory)
        snapshot = snapshots.take(folder, home, node.declared_source, scripts)
        for warning in snapshot.warnings:
            self.log.warning("step %r: %s", node.name, warning)
        self.log.info(
            "source folder %s: %d file%s, %s",
            node.source_directory,
            snapshot.files,
            "" if snapshot.files == 1 else "s",
            snapshot.digest,
        )
        return snapshot.digest

    def _say_what_is_not_served(self) -> None:
        unknown = self.computes.undefined(self.spec.nodes)
        if unknown:
            self.log.warning(
                "the site has not defined the compute%s %s: their steps run on the default one"
                " (see [aml] computes)",
                "" if len(unknown) == 1 else "s",
                ", ".join(map(repr, unknown)),
            )
        environments = [node.settings.environment for node in self._here()]
        for image in sorted(
            {e.image or "of a Dockerfile" for e in environments if e.image or e.dockerfile}
        ):
            self.log.warning("image %s: steps run on this worker as yet, without it", image)


def told(decisions: Mapping[str, Decision], names: Mapping[str, str]) -> list[str]:
    """A line for each step; of many that are reused for one reason, a line for all of them."""
    alike: dict[str, list[str]] = {}
    for step_id, each in skipping.hits(decisions).items():
        alike.setdefault(each.reason, []).append(step_id)
    lines = []
    for step_id, each in decisions.items():
        together = alike.get(each.reason, []) if each.decision == REUSE else []
        if len(together) <= _MOST_ALIKE:
            lines.append(f"{each.shown:<7} {names[step_id]}: {each.reason}")
        elif step_id == together[0]:
            lines.append(f"{each.shown:<7} {len(together)} steps: {each.reason}")
            lines.append(f"        {', '.join(names[one] for one in together)}")
    return lines


def planned_steps(
    spec: PipelineSpec,
    steps: Sequence[WalkStep],
    pinned: Pinned,
    decisions: Mapping[str, Decision] | None = None,
    locks: Locks | None = None,
    named: Named | None = None,
    images: Mapping[str, str] | None = None,
) -> dict[str, PlannedStep]:
    """What a run's plan says of each step; without decisions, that it runs if nothing is found."""
    planned = {}
    for step, node in zip(steps, spec.nodes, strict=True):
        decision = (decisions or {}).get(step.id, _UNDECIDED)
        lock, environment = (locks or {}).get(step.id), (named or {}).get(step.id)
        planned[step.id] = PlannedStep(
            snapshot=str(step.key["snapshot"]),
            decision=decision.decision,
            reason=decision.reason,
            inputs={
                name: PlannedInput(each.id, each.definition, each.name, each.version)
                for name, each in pinned.get(step.id, {}).items()
            },
            name=step.name,
            key=dict(step.key),
            upstream=tuple(step.upstream),
            outputs=tuple(output.name for output in node.outputs),
            allow_reuse=step.allow_reuse,
            max_age=step.max_age,
            source=decision.record.step_run_id if decision.record else "",
            offers={
                each.pipeline_output_name: each.name
                for each in node.outputs
                if each.pipeline_output_name
            },
            lock=lock.document if lock else {},
            environment=encode(environment) if environment else {},
            image=(images or {}).get(step.id, ""),
            registers=dict(step.registers),
            shared=dict(step.shared),
            asks=dict(step.asks),
        )
    return planned


def _settings(conf: Mapping[str, Any]) -> dict[str, Any]:
    settings = conf.get(parameters.SETTINGS_KEY) or {}
    if not isinstance(settings, Mapping):
        raise AirflowFailException(
            f"conf[{parameters.SETTINGS_KEY!r}] must be an object, not {settings!r}."
        )
    return dict(settings)
