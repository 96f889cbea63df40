"""What one file declares: which pipelines become DAGs, and under which ids (architecture 3, 7)."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Set, Tuple

from airflow_aml.definition.engine import option_values
from airflow_aml.definition.names import slug
from airflow_aml.definition.origin import assignment_target
from airflow_aml.definition.pipeline import Pipeline
from airflow_aml.definition.setup import SetupAction
from airflow_aml.errors import RunEnvironmentException, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.runs.declared import DeclaredPublishedPipeline
    from airflow_aml.definition.runs.pipelinerun import PipelineRun
    from airflow_aml.definition.schedule_spec import ScheduleSpec
    from airflow_aml.definition.spec import ParameterSpec


@dataclass(frozen=True)
class EndpointSchedule:
    """A schedule that submits an endpoint's default version; it has a DAG of its own.

    Attributes:
        workspace: the name of the workspace that has the endpoint.
    """

    schedule: ScheduleSpec
    workspace: str


@dataclass(frozen=True)
class Declaration:
    """One pipeline that a file declares.

    Attributes:
        name: what tells it from the file's other pipelines; empty when nothing does.
        explicit: it was submitted, published or made a DAG, not just built.
        has_dag: the author made its DAG.
        parameters: values that replace the parameters' defaults.
        options: of ``submit``: ``experiment_name``, ``tags``, ``continue_on_step_failure``...
        setup: what the file does before: of a submitted pipeline up to there, else all of it, which
            is complete when the file has been read.
        schedule: when Airflow runs it by itself.
    """

    pipeline: Pipeline
    name: str = ""
    explicit: bool = False
    has_dag: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    setup: Sequence[SetupAction] = ()
    schedule: Optional[ScheduleSpec] = None


class Declarations:
    """Collects what one file declares while it is loaded; an :class:`Engine` that only listens.

    Args:
        path: the file.
        root: the folder that ids start at: the bundle's, or the one that was asked for.
    """

    def __init__(self, path: str, root: str):
        self.path = os.path.abspath(path)
        relative = os.path.relpath(self.path, root)
        if relative.startswith(os.pardir):
            relative = os.path.basename(self.path)
        stem = os.path.splitext(relative)[0].replace(os.sep, "_")
        # x.pipeline.yaml is x, as x.py is
        stem = stem[: -len(".pipeline")] if stem.endswith(".pipeline") else stem
        self.stem = slug(stem, fallback="pipeline")
        self.setup: List[SetupAction] = []
        self._made: List[Declaration] = []
        self._published: Dict[str, Pipeline] = {}
        self._endpoints: List[EndpointSchedule] = []

    def prepare(self, action: SetupAction) -> None:
        """Hears of everything that the file registers or uploads."""
        self.setup.append(action)

    def built(self, pipeline: Pipeline) -> None:
        """Hears of every pipeline that the file builds."""
        self._made.append(Declaration(pipeline, assignment_target() or "", setup=self.setup))

    def submit(
        self,
        pipeline: Pipeline,
        experiment_name: str,
        parameters: Mapping[str, Any],
        **options: Any,
    ) -> PipelineRun:
        """Declares instead of running."""
        from airflow_aml.definition.runs.declared import DeclaredRun

        options["experiment_name"] = experiment_name
        self._made.append(
            Declaration(
                pipeline, experiment_name, True, False, parameters, options, tuple(self.setup)
            )
        )
        return DeclaredRun(experiment_name, partial(self._publishes, pipeline))

    def submit_published(self, published: Any, *_: Any, **__: Any) -> PipelineRun:
        """Refused: what a workspace holds is not looked up while a file is loaded."""
        raise RunEnvironmentException(
            f"published pipeline {published.name!r} is submitted by a file that is only being "
            "loaded: nothing runs yet.",
            hint="Do it in a program of its own.",
        )

    def publish(
        self,
        pipeline: Pipeline,
        name: Optional[str] = None,
        description: Optional[str] = None,
        version: Optional[str] = None,
        continue_on_step_failure: Optional[bool] = None,
    ) -> DeclaredPublishedPipeline:
        """Declares a pipeline that is published: it becomes a DAG that waits to be started."""
        from airflow_aml.definition.runs.declared import DeclaredPublishedPipeline

        options = option_values({"continue_on_step_failure": continue_on_step_failure})
        self._made.append(
            Declaration(pipeline, name or "", True, False, {}, options, tuple(self.setup))
        )
        publishes = partial(self._publishes, pipeline)
        published = DeclaredPublishedPipeline(name, description, version, publishes)
        publishes(published)
        return published

    def _publishes(self, pipeline: Pipeline, published: DeclaredPublishedPipeline) -> None:
        self._published[published.id] = pipeline

    def published(self, identity: str) -> Optional[Pipeline]:
        """The pipeline that the file has published under that id."""
        return self._published.get(identity)

    def explicit(self, pipeline: Pipeline) -> str:
        """The author makes a DAG of this pipeline; nothing else is made of it.

        Returns the DAG's id, should the author name none: the file's for the first such call.
        """
        if any(item.schedule for item in self._made if item.pipeline is pipeline):
            raise _two_schedules()
        name = assignment_target()
        earlier = sum(item.has_dag for item in self._made)
        self._made.append(
            Declaration(pipeline, explicit=True, has_dag=True, setup=tuple(self.setup))
        )
        if not earlier:
            return self.stem
        return f"{self.stem}.{slug(name or f'pipeline{earlier + 1}', fallback='pipeline')}"

    def schedule_id(self, name: str) -> str:
        """The id of a schedule that the file is about to declare; of one name the second's is
        another.
        """
        from uuid import NAMESPACE_URL, uuid5

        same = sum(each.name == name for each in self.schedules)
        number = f"\n{same + 1}" if same else ""
        return str(uuid5(NAMESPACE_URL, f"airflow_aml:{self.stem}\n{name}{number}"))

    def schedule(self, pipeline: Pipeline, schedule: ScheduleSpec) -> None:
        """Hears that a pipeline is to be run on a schedule.

        Raises:
            UserErrorException: the author makes its DAG, whose schedule that DAG has.
        """
        options: Dict[str, Any] = {"experiment_name": schedule.experiment}
        if schedule.continue_on_step_failure is not None:
            options["continue_on_step_failure"] = schedule.continue_on_step_failure
        for number, item in enumerate(self._made):
            if item.pipeline is pipeline and item.has_dag:
                raise _two_schedules()
            if item.pipeline is pipeline and item.explicit and item.schedule is None:
                # What was submitted or published is what is scheduled: one DAG. That one run of
                # it was to make everything anew is no wish for all that are to come.
                merged = {**item.options, **options}
                merged.pop("regenerate_outputs", None)
                self._made[number] = replace(item, options=merged, schedule=schedule)
                return
        self._made.append(
            Declaration(
                pipeline, schedule.name, True, False, {}, options, tuple(self.setup), schedule
            )
        )

    def schedule_endpoint(self, schedule: ScheduleSpec, workspace: str) -> None:
        """Hears that an endpoint's default version is to be submitted on a schedule."""
        self._endpoints.append(EndpointSchedule(schedule, workspace))

    def reschedule(self, schedule: ScheduleSpec) -> None:
        """Hears that a schedule is another now."""
        self._endpoints = [
            replace(each, schedule=schedule) if each.schedule.id == schedule.id else each
            for each in self._endpoints
        ]
        for number, item in enumerate(self._made):
            if item.schedule and item.schedule.id == schedule.id:
                self._made[number] = replace(item, schedule=schedule)

    @property
    def schedules(self) -> List[ScheduleSpec]:
        """Those that the file has declared so far."""
        ours = [item.schedule for item in self._made if item.schedule]
        return [*ours, *(each.schedule for each in self._endpoints)]

    def scheduled_dag(self, schedule_id: str) -> str:
        """The id of the DAG that a schedule of the file starts, by what is declared so far."""
        ours = [(dag_id, item.schedule) for dag_id, item in self.declared()]
        theirs = [(dag_id, item.schedule) for dag_id, item in self.endpoint_schedules()]
        return next(dag_id for dag_id, spec in [*ours, *theirs] if spec and spec.id == schedule_id)

    def scheduled_parameters(self, schedule_id: str) -> Optional[Sequence[ParameterSpec]]:
        """Those of the pipeline that a schedule of the file runs; None: an endpoint's."""
        for item in self._made:
            if item.schedule and item.schedule.id == schedule_id:
                return item.pipeline.spec.parameters
        return None

    def endpoint_schedules(self) -> List[Tuple[str, EndpointSchedule]]:
        """(dag id, schedule) of every schedule of an endpoint; each is a DAG."""
        if len(self._endpoints) == 1 and not self._made:
            return [(self.stem, self._endpoints[0])]
        taken = {dag_id for dag_id, _ in self.declared()}
        result = []
        for each in self._endpoints:
            dag_id = self._dag_id(each.schedule.name, taken)
            taken.add(dag_id)
            result.append((dag_id, each))
        return result

    def declared(self) -> List[Tuple[str, Declaration]]:
        """(dag id, declaration) of every pipeline that becomes a DAG of ours, in the file's order.

        The explicit ones if there are any, each once; else all that were built. A pipeline with
        several schedules has a DAG for each.
        """
        explicit = [item for item in self._made if item.explicit]
        theirs = {id(item.pipeline) for item in self._made if item.has_dag}
        chosen: Dict[Any, Declaration] = {}
        for item in explicit or self._made:
            key = id(item.pipeline)
            if key in chosen and item.schedule:
                chosen[key, item.schedule.id] = item
            chosen.setdefault(key, item)
        ours = [item for item in chosen.values() if id(item.pipeline) not in theirs]
        if len(chosen) <= 1:
            return [(self.stem, item) for item in ours]
        taken: Set[str] = set()
        result = []
        for number, item in enumerate(ours, 1):
            dag_id = self._dag_id(item.name or f"pipeline{number}", taken)
            taken.add(dag_id)
            result.append((dag_id, item))
        return result

    def _dag_id(self, name: str, taken: Set[str]) -> str:
        base = f"{self.stem}.{slug(name, fallback='pipeline')}"
        candidate, number = base, 1
        while candidate in taken:
            number += 1
            candidate = f"{base}_{number}"
        return candidate

    def find(self, name: Optional[str]) -> Optional[Tuple[str, Declaration]]:
        """The declaration with that dag id, or part of it after the dot, or with that name.

        The only one when ``name`` is None.
        """
        items = self.declared()
        if name is None:
            return items[0] if len(items) == 1 else None
        for dag_id, item in items:
            if name in (dag_id, dag_id[len(self.stem) + 1 :], item.name):
                return dag_id, item
        return None


def _two_schedules() -> UserErrorException:
    return UserErrorException(
        "this pipeline has a DAG by to_dag and a schedule by Schedule.create.",
        hint="Give to_dag the recurrence, to_dag(schedule=recurrence), or leave to_dag out.",
    )
