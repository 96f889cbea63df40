"""Parameters of data: a ``DataPath`` or dataset that is chosen anew for every run (reference 2.6).

Such a value is one text wherever it is kept: in a spec, a run's conf, a plan, on the trigger form.

=========================================  =====================================================
``store/folder``                           of a ``DataPath``; before the slash nothing: the default
                                           datastore
``sales:3``, ``sales:latest``, ``sales``   a registered dataset
``8d2f6c0b-...``                           the dataset of that id
``azureml://datastores/store/paths/path``  a place, of either kind; of a dataset: its files
=========================================  =====================================================

:func:`data_text` is the one way by which anything else becomes such a text.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, List, Mapping, Optional, Tuple

from airflow_aml.definition.abstract import AbstractDataset
from airflow_aml.definition.consumption import DatasetConsumptionConfig
from airflow_aml.definition.data.model import (
    DatasetSource,
    Files,
    Registered,
    StoredPath,
    definition_id,
    definition_of,
)
from airflow_aml.definition.datareference import DataPath
from airflow_aml.definition.datastore import relative_path
from airflow_aml.definition.spec import (
    DATA_PATH,
    DATASET,
    LONGEST_DATA,
    InputSpec,
    ParameterSpec,
    PipelineSpec,
)
from airflow_aml.definition.texts import check_text
from airflow_aml.errors import PipelineDefinitionError, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home

_STORE = re.compile(r"[A-Za-z0-9_-]*")
_PLACE = re.compile(r"azureml://datastores/([^/]*)/paths/(.*)", re.DOTALL)
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_KINDS = {DATA_PATH: "DataPath", DATASET: "dataset"}
_FORMS = {
    DATA_PATH: "a path in a datastore is written datastore/path",
    DATASET: "a dataset is written name:version, name, or as its id",
}


def data_parameter(name: str, default: Any) -> Optional[ParameterSpec]:
    """A parameter whose default is data; None where it is not."""
    if isinstance(default, DatasetConsumptionConfig):
        default = default.dataset
    if isinstance(default, DataPath):
        text = _place_text(default.reference, default.path_on_datastore)
        source = Files((StoredPath(default.reference, default.path_on_datastore),))
        return ParameterSpec(name, DATA_PATH, text, source)
    if isinstance(default, AbstractDataset):
        text = _registered_text(default.source) or definition_id(default.source)
        return ParameterSpec(name, DATASET, text, default.source)
    return None


def data_text(parameter: ParameterSpec, value: Any) -> str:
    """The text of a value for a parameter of data.

    Args:
        value: such a text; ``{"datastore": name, "path": path}``; a ``DataPath``, dataset or
            ``DatasetConsumptionConfig``; or what v1's REST clients send for one of these
            (reference 2.14).

    Raises:
        PipelineDefinitionError: it is none of them, or names what cannot be.
        RunEnvironmentException: a dataset that is not registered, while a file is only loaded.
    """
    try:
        text = _path_text(value) if parameter.type == DATA_PATH else _dataset_text(value)
    except PipelineDefinitionError:
        raise
    except UserErrorException as error:  # what is wrong with the path
        raise _wrong(parameter, value, error.message) from None
    if not text:
        raise _wrong(parameter, value, f"{_FORMS[parameter.type]}.")
    if len(text) > LONGEST_DATA or _CONTROL.search(text):
        reason = f"it has control characters, or more than {LONGEST_DATA} characters."
        raise _wrong(parameter, text[:100], reason)
    return check_text(text, f"pipeline parameter {parameter.name!r}")


def bind(spec: PipelineSpec, values: Mapping[str, Any], home: Home) -> PipelineSpec:
    """The pipeline with the data that its parameters name in one run.

    Args:
        values: of all its parameters, as :func:`~airflow_aml.definition.values.resolve` has them.

    Raises:
        UserErrorException: there is no dataset with an id that is named.
    """
    sources = {
        each.name: source_of(each, str(values[each.name]), home)
        for each in spec.parameters
        if each.type in _KINDS
    }
    if not sources:
        return spec

    def bound(port: InputSpec) -> InputSpec:
        return replace(port, source=sources[port.parameter]) if port.parameter else port

    nodes = tuple(replace(node, inputs=tuple(map(bound, node.inputs))) for node in spec.nodes)
    return replace(spec, nodes=nodes)


def source_of(parameter: ParameterSpec, text: str, home: Home) -> DatasetSource:
    """What such a text means; names are only looked up by who reads them.

    Raises:
        UserErrorException: there is no dataset with that id.
    """
    if parameter.source is not None and text == parameter.default:
        return parameter.source
    if parameter.type == DATA_PATH:
        return Files((StoredPath(*_split(text)),))
    place = _PLACE.fullmatch(text)
    if place:
        return Files((StoredPath(place[1], place[2]),))
    if _ID.fullmatch(text):
        return _of_id(parameter, text, home)
    return _registered(text)


def _registered(text: str) -> Registered:
    name, colon, version = text.rpartition(":")
    if colon and version == "latest":
        return Registered(name)
    if colon and version.isascii() and version.isdigit():
        return Registered(name, int(version))
    return Registered(text)


def with_default(parameter: ParameterSpec, value: Any, home: Home) -> ParameterSpec:
    """The parameter with another default, which is of its type.

    Raises:
        UserErrorException: there is no dataset with an id that is named.
    """
    if parameter.type not in _KINDS:
        return replace(parameter, default=value)
    return replace(parameter, default=value, source=source_of(parameter, str(value), home))


def missing_data(spec: PipelineSpec, values: Mapping[str, Any], home: Home) -> List[str]:
    """Of some values, a sentence for each that names a datastore or dataset that is not there."""
    from airflow_aml.workspace import datasets
    from airflow_aml.workspace.datastores import load_datastore

    said = []
    for each in spec.parameters:
        if each.name not in values or each.type not in _KINDS:
            continue
        try:
            source = source_of(each, str(values[each.name]), home)
            if isinstance(source, Registered):
                datasets.get(home, source.name, source.version)
            for place in getattr(source, "paths", ()):
                if isinstance(place, StoredPath) and place.datastore:
                    load_datastore(home, place.datastore)
        except UserErrorException as error:
            said.append(f"parameter {each.name}: {error.message}")
    return said


def _of_id(parameter: ParameterSpec, identifier: str, home: Home) -> DatasetSource:
    from airflow_aml.workspace import datasets

    try:
        found = datasets.named_by_id(home, identifier)
        return Registered(found.name, found.number)
    except UserErrorException:
        pass
    try:
        return definition_of(datasets.by_id(home, identifier).definition)
    except UserErrorException as error:
        where = f"pipeline parameter {parameter.name!r}"
        raise UserErrorException(error.message, where=where, hint=error.hint) from error


def _path_text(value: Any) -> str:
    if isinstance(value, DataPath):
        return _place_text(value.reference, value.path_on_datastore)
    place = _place(value)
    if place is None and isinstance(value, str) and "/" in value:
        place = _split(value)
    return _place_text(*place) if place else ""


def _dataset_text(value: Any) -> str:
    if isinstance(value, DatasetConsumptionConfig):
        value = value.dataset
    if isinstance(value, AbstractDataset):
        return _registered_text(value.source) or value.keep()
    if isinstance(value, Mapping):
        named = value.get("DataSetReference")
        if isinstance(named, Mapping) and isinstance(named.get("Name"), str):
            return f"{named['Name']}:{named.get('Version') or 'latest'}"
        for key in ("SavedDataSetReference", "DataSetReference"):
            saved = value.get(key)
            if isinstance(saved, Mapping) and isinstance(saved.get("Id"), str):
                return str(saved["Id"]).lower()
        value = value.get("LiteralValue", value)
    place = _place(value)
    if place is not None:
        store, _, path = _place_text(*place).partition("/")
        return f"azureml://datastores/{store}/paths/{path}"
    return value.strip() if isinstance(value, str) else ""


def _place(value: Any) -> Optional[Tuple[Any, Any]]:
    """Datastore and path of a document or an ``azureml:`` address."""
    if isinstance(value, str):
        found = _PLACE.fullmatch(value)
        return (found[1], found[2]) if found else None
    if isinstance(value, Mapping):
        for store, path in (("datastore", "path"), ("DataStoreName", "RelativePath")):
            if store in value:
                return value[store], value.get(path) or ""
    return None


def _place_text(store: Any, path: Any) -> str:
    if not isinstance(store, str) or not _STORE.fullmatch(store):
        raise UserErrorException(f"{store!r} is no name of a datastore.")
    return f"{store}/{relative_path(path)}"


def _split(text: str) -> Tuple[str, str]:
    store, _, path = text.partition("/")
    return store, path


def _registered_text(source: DatasetSource) -> str:
    if isinstance(source, Registered) and not source.operations:
        return f"{source.name}:{source.version or 'latest'}"
    return ""


def _wrong(parameter: ParameterSpec, value: Any, why: str) -> PipelineDefinitionError:
    shown = repr(value)
    return PipelineDefinitionError(
        f"Expected type of the pipeline parameter {parameter.name} is {_KINDS[parameter.type]}, "
        f"but the value is {shown if len(shown) <= 100 else shown[:99] + '…'}: {why}"
    )
