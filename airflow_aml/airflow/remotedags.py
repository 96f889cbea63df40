"""Which DAG of a running Airflow a program's pipeline is, and whether it can be run."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_aml.airflow.rest import AirflowAnswer, Document, Rest
from airflow_aml.definition.compile import HEAD_TASK
from airflow_aml.definition.names import slug
from airflow_aml.definition.spec import PipelineSpec
from airflow_aml.errors import UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.pipeline import Pipeline

DAG_VARIABLE = "AIRFLOW_AML_DAG_ID"
_TAG = "azureml-v1"
_NOT_FOUND = 404
_SEEN_SECONDS = 60.0
_POLL = 1.0


def find_dag(airflow: Rest, pipeline: Pipeline, experiment_name: str) -> str:
    """The id of the pipeline's DAG: the one that Airflow has of the program's file.

    Of several that a file declares it is the one with the experiment's name, as these ids are made,
    else the one with the pipeline's steps.

    Raises:
        UserErrorException: Airflow has none, or it cannot be told which one is meant.
    """
    named = os.environ.get(DAG_VARIABLE)
    if named:
        return named
    files = _files(pipeline)
    if not files:
        raise UserErrorException(
            "this program is no file, so that Airflow cannot know its pipeline by its place.",
            hint=f"Set {DAG_VARIABLE} to the id of the pipeline's DAG.",
        )
    dags = _dags_of(airflow, files)
    if not dags:
        raise UserErrorException(
            f"Airflow at {airflow.url} has no DAG of {files[0].name}."
            f"{_import_error(airflow, files)}",
            hint="Put the same file, with its folders of scripts, into Airflow's dags folder; "
            f"it is listed there shortly after. Or set {DAG_VARIABLE} to the id of its DAG.",
        )
    return _one_of(airflow, [str(dag["dag_id"]) for dag in dags], pipeline.spec, experiment_name)


def check_dag(
    airflow: Rest, dag_id: str, spec: PipelineSpec, parameters: Mapping[str, Any]
) -> None:
    """Sees to it that a run of the DAG would begin, and would be one of this pipeline.

    Raises:
        UserErrorException: the DAG is missing, paused, broken, or of another pipeline.
    """
    there = f"DAG {dag_id!r} of Airflow ({airflow.url}/dags/{dag_id})"
    try:
        dag = airflow.call("GET", "dags", dag_id, "details")
    except AirflowAnswer as answer:
        if answer.status != _NOT_FOUND:
            raise
        raise UserErrorException(
            f"Airflow at {airflow.url} has no DAG {dag_id!r}.",
            hint=f"Look at {DAG_VARIABLE}, and into Airflow's list of DAGs.",
        ) from answer
    if dag["has_import_errors"]:
        raise UserErrorException(
            f"the file of {there} cannot be loaded any more.",
            hint="Its page of import errors says why.",
        )
    if dag["is_paused"]:
        raise UserErrorException(
            f"{there} is paused, so that no run of it would begin.",
            hint=f"Switch it on there, or by `airflow dags unpause {dag_id}`.",
        )
    unknown = sorted(set(parameters) - set(dag["params"] or {}))
    steps = {node.id for node in spec.nodes}
    if unknown or _steps(airflow, dag_id) != steps:
        what = f"no parameter {unknown[0]!r}" if unknown else "other steps than this program"
        raise UserErrorException(
            f"{there} has {what}.",
            hint="Airflow has another version of this file: copy it into the dags folder, and wait "
            "until it was read there.",
        )


def wait_for_published(airflow: Rest, dag_id: str, seconds: float = _SEEN_SECONDS) -> None:
    """Returns when Airflow has the DAG of a published pipeline: it may just have been published.

    Raises:
        UserErrorException: it has none after that time, or lets none run.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            dag = airflow.call("GET", "dags", dag_id)
        except AirflowAnswer as answer:
            if answer.status != _NOT_FOUND:
                raise
            if time.monotonic() > deadline:
                raise UserErrorException(
                    f"Airflow at {airflow.url} has no DAG {dag_id!r} of this published pipeline.",
                    hint="Does it work with this workspace, and does its bundle read it?",
                ) from answer
            time.sleep(_POLL)
            continue
        if dag["is_paused"]:
            raise UserErrorException(
                f"DAG {dag_id!r} of Airflow ({airflow.url}) is paused: no run of it would begin.",
                hint=f"Switch it on there, or by `airflow dags unpause {dag_id}`.",
            )
        return


def _files(pipeline: Pipeline) -> list[Path]:
    """The program's file and the one that builds the pipeline."""
    main = getattr(sys.modules.get("__main__"), "__file__", None)
    found = [Path(path).resolve() for path in (main, pipeline.file) if path]
    return list(dict.fromkeys(path for path in found if path.is_file()))


def _dags_of(airflow: Rest, files: Iterable[Path]) -> list[Document]:
    """The DAGs of the first of these files that Airflow has, by the end of its path.

    A file's place below the dags folder is what its DAGs' ids are made of. Should several fit, the
    one that has most of the path in common is meant.
    """
    for query in ({"tags": _TAG}, {}):  # an author may have given a DAG other tags
        dags = list(airflow.pages("dags", key="dags", query=query))
        for file in files:
            fitting = [dag for dag in dags if _fits(file, dag["relative_fileloc"])]
            if fitting:
                best = max(len(Path(dag["relative_fileloc"]).parts) for dag in fitting)
                return [d for d in fitting if len(Path(d["relative_fileloc"]).parts) == best]
    return []


def _fits(file: Path, relative: str | None) -> bool:
    parts = Path(relative or "").parts
    return bool(parts) and file.parts[-len(parts) :] == parts


def _one_of(airflow: Rest, dag_ids: Sequence[str], spec: PipelineSpec, experiment_name: str) -> str:
    if len(dag_ids) == 1:
        return dag_ids[0]
    ending = f".{slug(experiment_name, fallback='pipeline')}"
    named = [dag_id for dag_id in dag_ids if dag_id.endswith(ending)]
    if len(named) == 1:
        return named[0]
    steps = {node.id for node in spec.nodes}
    same = [dag_id for dag_id in named or dag_ids if _steps(airflow, dag_id) == steps]
    if len(same) == 1:
        return same[0]
    raise UserErrorException(
        f"Airflow at {airflow.url} has several DAGs of this file: {', '.join(dag_ids)}; which of "
        f"them is the pipeline of experiment {experiment_name!r} cannot be told.",
        hint=f"Set {DAG_VARIABLE} to the one that is meant.",
    )


def _steps(airflow: Rest, dag_id: str) -> set[str]:
    tasks = airflow.call("GET", "dags", dag_id, "tasks")["tasks"]
    return {str(task["task_id"]) for task in tasks} - {HEAD_TASK}


def _import_error(airflow: Rest, files: Sequence[Path]) -> str:
    """What Airflow says of a file that it could not load."""
    for error in airflow.pages("importErrors", key="import_errors"):
        if any(file.name == Path(error["filename"]).name for file in files):
            return f" It could not load it: {error['stack_trace'].strip().splitlines()[-1]}."
    return ""
