"""What a step has read and written, as OpenLineage datasets.

Airflow's OpenLineage provider asks an operator for it when its task has succeeded. Nothing of that
provider is imported before, so nobody needs it.

============================  ================================================================
a registered dataset          ``aml://<workspace>``, ``datasets/<name>``; its version is a facet
an output                     ``aml://<workspace>``, ``outputs/<dag>/<task>/<output>``, the same
                              in every run; its version is the manifest's digest
a path of a datastore         ``aml://<workspace>``, ``datastores/<datastore>/<path>``
a path of the workers, a URL  ``file``, the path; ``https://<host>``, the path
============================  ================================================================

The run of a step has a facet ``aml_metrics``: the last value of each number that its script logged.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

from airflow_aml.definition.data.model import Query, Table, definition_of
from airflow_aml.definition.spec import (
    InputSpec,
    LocalPath,
    OutputSpec,
    StepOutput,
    StoredPath,
    WebPath,
)

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors import OperatorLineage
    from openlineage.client.event_v2 import InputDataset, OutputDataset
    from openlineage.client.facet_v2 import DatasetFacet, RunFacet

    from airflow_aml.airflow.steps.assemble import StepRun


@dataclass(frozen=True)
class Made:
    """What a step that has succeeded hands on.

    Attributes:
        references: output name -> its XCom value.
        versions: name of a registered dataset -> the version that the step has made, or reuses.
        metrics: the last value of each number that its script logged.
    """

    run: StepRun
    references: Mapping[str, Mapping[str, Any]]
    versions: Mapping[str, int]
    metrics: Mapping[str, float]


def facets(made: Made) -> OperatorLineage[Any, Any]:
    """The step's inputs and outputs as the provider wants them."""
    from airflow.providers.openlineage.extractors import OperatorLineage

    inputs = [each for port in made.run.node.inputs for each in _inputs(made.run, port)]
    outputs = [each for output in made.run.node.outputs for each in _outputs(made, output)]
    return OperatorLineage(inputs=inputs, outputs=outputs, run_facets=_measured(made.metrics))


def _measured(metrics: Mapping[str, float]) -> dict[str, RunFacet]:
    if not metrics:
        return {}
    import attr
    from openlineage.client.facet_v2 import RunFacet

    facet = attr.make_class("AmlMetricsRunFacet", {"metrics": attr.ib()}, bases=(RunFacet,))
    return {"aml_metrics": facet(metrics=dict(metrics))}


def _inputs(run: StepRun, port: InputSpec) -> Iterator[InputDataset]:
    from openlineage.client.event_v2 import InputDataset

    namespace = _namespace(run)
    if isinstance(port.source, StepOutput):
        name = _output_name(run, port.source.node, port.source.output)
        reference = run.fetch(port.source.node, port.source.output) or {}
        found = _version(reference.get("digest"))
        yield InputDataset(namespace, name, facets=found)
        return
    planned = run.plan.steps[run.node.id].inputs.get(port.name)
    if planned is None:
        return
    definition = definition_of(planned.definition)
    schema = _schema(definition)
    if planned.name:
        found = {**_version(planned.version), **schema}
        yield InputDataset(namespace, f"datasets/{planned.name}", facets=found)
    elif isinstance(definition, Query):
        yield InputDataset(namespace, f"datastores/{definition.datastore}", facets=schema)
    else:
        for place in definition.paths:
            yield InputDataset(*_place(namespace, place), facets=schema)


def _outputs(made: Made, output: OutputSpec) -> Iterator[OutputDataset]:
    from openlineage.client.event_v2 import OutputDataset
    from openlineage.client.facet_v2 import datasource_dataset, output_statistics_output_dataset

    reference = made.references.get(output.name)
    if reference is None:
        return
    namespace = _namespace(made.run)
    written = output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
        rowCount=reference.get("rows"),
        size=int(reference["bytes"]),
        fileCount=int(reference["files"]),
    )
    source = datasource_dataset.DatasourceDatasetFacet(name=namespace, uri=str(reference["uri"]))

    def dataset(name: str, found: Mapping[str, DatasetFacet]) -> OutputDataset:
        return OutputDataset(
            namespace,
            name,
            facets={"dataSource": source, **found},
            outputFacets={"outputStatistics": written},
        )

    yield dataset(
        _output_name(made.run, made.run.node.id, output.name), _version(reference["digest"])
    )
    for registration in output.registrations:
        found = _version(made.versions.get(registration.name))
        if registration.reading is not None:
            found.update(_schema(Table((), registration.reading, registration.operations)))
        yield dataset(f"datasets/{registration.name}", found)


def _namespace(run: StepRun) -> str:
    return f"aml://{quote(run.plan.workspace, safe='')}"


def _output_name(run: StepRun, task_id: str, output: str) -> str:
    return f"outputs/{run.plan.dag_id}/{task_id}/{output}"


def _place(namespace: str, place: Any) -> tuple[str, str]:
    if isinstance(place, StoredPath):
        return namespace, f"datastores/{place.datastore}/{place.path}".rstrip("/")
    if isinstance(place, LocalPath):
        return "file", place.path
    if isinstance(place, WebPath):
        parts = urlsplit(place.url)  # what follows a question mark may be a key
        return f"{parts.scheme}://{parts.hostname}", parts.path
    return namespace, str(place.path)


def _version(version: object) -> dict[str, DatasetFacet]:
    if version is None:
        return {}
    from openlineage.client.facet_v2 import dataset_version_dataset

    return {"version": dataset_version_dataset.DatasetVersionDatasetFacet(str(version))}


def _schema(definition: Any) -> dict[str, DatasetFacet]:
    """The columns whose types the author has declared; others are only known to who reads."""
    if definition.operations:
        return {}
    if isinstance(definition, Query):
        types = definition.types
    elif isinstance(definition, Table):
        types = definition.reading.options.get("types") or {}
    else:
        types = {}
    if not types:
        return {}
    from openlineage.client.facet_v2 import schema_dataset

    fields = [
        schema_dataset.SchemaDatasetFacetFields(name=name, type=str(kind.get("type", "")))
        for name, kind in types.items()
    ]
    return {"schema": schema_dataset.SchemaDatasetFacet(fields=fields)}
