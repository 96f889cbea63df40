"""What file and tabular datasets have in common (reference 1.1 Dataset)."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple, TypeVar

from airflow_aml.codec import encode
from airflow_aml.definition.consumption import DatasetConsumptionConfig
from airflow_aml.definition.data.model import (
    DatasetSource,
    Definition,
    Operation,
    Registered,
    definition_id,
)
from airflow_aml.definition.homes import home_of
from airflow_aml.definition.setup import REGISTER_DATASET, declare, refuse_while_loading
from airflow_aml.errors import NotServedError, RunEnvironmentException, UserErrorException
from airflow_aml.runtime import hidden

if TYPE_CHECKING:
    from airflow_aml.definition.data.compare import DatasetDiff
    from airflow_aml.definition.data.expressions import Expression
    from airflow_aml.definition.data.files import Places, SourceFile
    from airflow_aml.workspace import datasets

Self = TypeVar("Self", bound="AbstractDataset")


class AbstractDataset(ABC):
    """What file and tabular datasets have in common. A dataset reads nothing by itself.

    Args:
        source: what it means, as a spec keeps it.
        name: the registered name, if it has one.
        workspace: where its datastores are looked up.
        folder: where its relative local paths start; the defining file's folder when None.
        registered: the registered version that it is.
    """

    is_tabular = False

    def __init__(
        self,
        source: DatasetSource,
        name: Optional[str] = None,
        *,
        workspace: Any = None,
        folder: Optional[str] = None,
        registered: Optional[datasets.NamedVersion] = None,
        definition: Optional[Definition] = None,
    ):
        self.source = source
        self.name = name
        self._workspace = workspace
        self._folder = folder
        self._registered = registered
        self._definition = definition
        self._is_input = False
        self._was_asked = False

    # -- identity -------------------------------------------------------------------------------

    @property
    def definition(self) -> Definition:
        """What the dataset means, without asking a registry.

        Raises:
            RunEnvironmentException: that is only known when a run starts.
        """
        if self._definition is not None:
            return self._definition
        if isinstance(self.source, Registered):
            raise RunEnvironmentException(
                f"what dataset {self.source.name!r} holds is only known when a run starts: this "
                "file is being loaded.",
                hint="Pass the dataset to a step; its script can read it.",
            )
        return self.source

    @property
    def id(self) -> str:
        """The same for the same definition, wherever and whenever it is made."""
        return definition_id(self._anchored())

    @property
    def version(self) -> Optional[int]:
        """The number of the registered version; None when it is not registered."""
        if self._registered is not None:
            return self._registered.number
        source = self.source
        return source.version if isinstance(source, Registered) and self.name else None

    @property
    def description(self) -> Optional[str]:
        """As registered."""
        return self._told().description if self._registered else None

    @property
    def tags(self) -> Dict[str, str]:
        """As registered."""
        return dict(self._told().tags) if self._registered else {}

    @property
    def partition_keys(self) -> List[str]:
        """The columns that come from the files' paths."""
        from airflow_aml.definition.data.partitions import PartitionFormat

        text = self._partition_format()
        return PartitionFormat(text).columns if text else []

    @abstractmethod
    def _partition_format(self) -> Optional[str]:
        """The pattern of the files' paths that columns come from."""

    def _anchored(self) -> Definition:
        from airflow_aml.definition.data.places import anchored
        from airflow_aml.workspace.datastores import default_datastore

        return anchored(
            self.definition,
            self._start(),
            lambda: default_datastore(home_of(self._workspace)),
        )

    def _start(self) -> str:
        from airflow_aml.definition.origin import defining_folder

        return self._folder or defining_folder()

    def _places(self) -> Places:
        from airflow_aml.definition.data.places import places_of

        return places_of(lambda: home_of(self._workspace), self._start())

    def _files(self) -> List[SourceFile]:
        from airflow_aml.definition.data.model import Query
        from airflow_aml.definition.data.places import source_files

        definition = self.definition
        if isinstance(definition, Query):
            raise UserErrorException("a dataset from a query has no files.")
        self._note()
        return source_files(definition, self._places())

    def _note(self) -> None:
        """Notes for whoever reuses the step that its script reads this by itself."""
        if not self._is_input and hidden.work_folder() is not None:
            from airflow_aml.definition.data.noting import note_read

            note_read(self.definition, self._places())

    # -- registry -------------------------------------------------------------------------------

    def register(
        self: Self,
        workspace: Any,
        name: str,
        description: Optional[str] = None,
        tags: Optional[Mapping[str, str]] = None,
        create_new_version: bool = False,
    ) -> Self:
        """Registers the dataset under a name and returns it with name and version.

        A definition that is the name's latest version already makes no new one. While a file is
        only being loaded this is declared, and done when a run starts.

        Raises:
            UserErrorException: the name is taken and ``create_new_version`` is not set.
        """
        if not isinstance(name, str) or not name.strip():
            raise UserErrorException("The registration name of the dataset must not be empty.")
        other = copy.copy(self)
        other.name = name
        arguments = {
            "name": name,
            "description": description or "",
            "tags": {str(key): str(value) for key, value in dict(tags or {}).items()},
            "create_new_version": create_new_version,
        }
        source = encode(self.source)
        if declare(REGISTER_DATASET, {**arguments, "source": source}):
            return other
        from airflow_aml.workspace import datasets

        version = datasets.DatasetVersion(
            self.id,
            encode(self._anchored()),
            arguments["description"],  # type: ignore[arg-type]
            arguments["tags"],  # type: ignore[arg-type]
            datasets.now(),
            origin=_origin(),
        )
        home = home_of(workspace)
        done = datasets.register(home, name, version, new_version=create_new_version)
        hidden.note_registered("dataset", name, done.number, self.id)
        return other.as_registered(done, self._anchored(), workspace)

    def keep(self) -> str:
        """Saves what the dataset means, so that its id alone leads to it; returns the id.

        Raises:
            RunEnvironmentException: a file is only being loaded.
        """
        from airflow_aml.workspace import datasets

        refuse_while_loading("a dataset without a registered version, as a parameter's value,")
        identifier = self.id
        datasets.save_definition(home_of(self._workspace), identifier, encode(self._anchored()))
        return identifier

    def as_input(self: Self) -> Self:
        """A copy that is known to be an input of the running step, whose content counts anyway."""
        other = copy.copy(self)
        other._is_input = True  # noqa: SLF001 - of the same class
        return other

    def as_registered(
        self: Self, version: datasets.NamedVersion, definition: Definition, workspace: Any
    ) -> Self:
        """A copy that is known to be that registered version."""
        other = copy.copy(self)
        other.__dict__.update(
            name=version.name,
            source=Registered(version.name, version.number),
            _registered=version,
            _definition=definition,
            _workspace=self._workspace if self._workspace is not None else workspace,
        )
        return other

    def update(
        self: Self,
        description: Optional[str] = None,
        tags: Optional[Mapping[str, str]] = None,
    ) -> Self:
        """Changes description and tags of this registered version."""
        from airflow_aml.workspace import datasets

        refuse_while_loading("Dataset.update")
        known = self._known()
        changed = replace(
            known.version,
            description=known.version.description if description is None else description,
            tags=known.version.tags if tags is None else dict(tags),
        )
        datasets.update(home_of(self._workspace), known.name, known.number, changed)
        self._registered = replace(known, version=changed)
        if self._was_asked:  # then it is what it has made of it that has to stay
            self._told()
        return self

    def add_tags(self: Self, tags: Mapping[str, str]) -> Self:
        """Adds tags to this registered version."""
        return self.update(tags={**self._known().version.tags, **tags})

    def remove_tags(self: Self, tags: Sequence[str]) -> Self:
        """Removes tags from this registered version."""
        known = self._known().version.tags
        return self.update(tags={k: v for k, v in known.items() if k not in set(tags)})

    def unregister_all_versions(self) -> None:
        """Forgets the name with all its versions; data stays, and ids still lead to it."""
        from airflow_aml.workspace import datasets

        refuse_while_loading("Dataset.unregister_all_versions")
        datasets.remove_all(home_of(self._workspace), self._known().name)

    def _told(self) -> datasets.DatasetVersion:
        """What is said of this version, which may change: that a script has asked is noted."""
        known = self._known()
        self._was_asked = True
        if hidden.work_folder() is not None:
            hidden.note_described("dataset", known.name, known.number, encode(known.version))
        return known.version

    def _known(self) -> datasets.NamedVersion:
        if self._registered is None:
            raise UserErrorException("this dataset is not registered: call register() first.")
        return self._registered

    # -- as an input ----------------------------------------------------------------------------

    def as_named_input(self, name: str) -> DatasetConsumptionConfig:
        """The dataset as an input of that name; direct mode unless ``as_mount`` or so follows."""
        return DatasetConsumptionConfig(name, self)

    # -- transformations ------------------------------------------------------------------------

    def take(self: Self, count: int) -> Self:
        """The first so many records."""
        return self._with("take", count=_count(count))

    def skip(self: Self, count: int) -> Self:
        """All but the first so many records."""
        return self._with("skip", count=_count(count))

    def take_sample(self: Self, probability: float, seed: Optional[int] = None) -> Self:
        """Each record with that probability; without a seed, always the same ones too."""
        return self._with("take_sample", share=_share(probability), seed=self._seed(seed))

    def random_split(
        self: Self, percentage: float, seed: Optional[int] = None
    ) -> Tuple[Self, Self]:
        """Two datasets that share no record and together are this one.

        Args:
            percentage: the first one's share, between 0 and 1.
            seed: equal seeds split equally; made from the definition when None, so that the split
                stays what it is.
        """
        share, chosen = _share(percentage), self._seed(seed)
        return (
            self._with("random_split", share=share, seed=chosen, part=1),
            self._with("random_split", share=share, seed=chosen, part=2),
        )

    def filter(self: Self, expression: Expression) -> Self:
        """The records for which a condition holds: ``ds.filter(ds["age"] > 3)``."""
        from airflow_aml.definition.data.expressions import Expression

        if not isinstance(expression, Expression):
            raise UserErrorException(
                f"filter takes a condition on columns, not {expression!r}.",
                hint='For example ds.filter((ds["age"] > 3) & (ds["city"] == "Rome")).',
            )
        return self._with("filter", expression=expression.document)

    def __getitem__(self, name: str) -> Expression:
        from airflow_aml.definition.data.expressions import column

        return column(name)

    def _seed(self, seed: Optional[int]) -> int:
        if seed is not None:
            return int(seed)
        return int(definition_id(self.source)[:8], 16)

    def _with(self: Self, name: str, **arguments: Any) -> Self:
        operation = Operation(name, arguments)
        other = copy.copy(self)
        source = replace(self.source, operations=(*self.source.operations, operation))
        known = self._definition
        if known is not None:
            known = replace(known, operations=(*known.operations, operation))
        other.__dict__.update(name=None, source=source, _definition=known, _registered=None)
        return other

    def get_partition_key_values(
        self, partition_keys: Optional[Sequence[str]] = None
    ) -> List[Dict[str, Any]]:
        """The combinations of values that the files' paths hold, each once, sorted by path."""
        refuse_while_loading("Dataset.get_partition_key_values")
        keys = list(partition_keys or self.partition_keys)
        unknown = [key for key in keys if key not in self.partition_keys]
        if unknown or not keys:
            raise UserErrorException(
                f"the dataset has no partition key {unknown}."
                if unknown
                else "the dataset has no partition keys: it was made without partition_format."
            )
        found: Dict[Tuple[Any, ...], Dict[str, Any]] = {}
        for file in self._files():
            values = {key: file.partitions[key] for key in keys}
            found.setdefault(tuple(values.values()), values)
        return list(found.values())

    def diff(self, other: AbstractDataset) -> DatasetDiff:
        """What differs between this dataset and another, as a rule two versions of one name."""
        from airflow_aml.definition.data.compare import compare

        refuse_while_loading("Dataset.diff")
        return compare(self, other)

    def _repr_html_(self) -> str:
        from airflow_aml.definition.runs.notebook import dataset_html

        return dataset_html(self)

    def __getattr__(self, name: str) -> Any:
        if name in _NOT_SERVED:
            raise NotServedError(f"{type(self).__name__}.{name} is not served: {_NOT_SERVED[name]}")
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


_NOT_SERVED = {
    "as_cache": "there is no data cache service here.",
    "hydrate": "there is no data cache service here.",
    "as_hdfs": "hdfs mode belongs to Synapse Spark; use as_mount or as_download.",
    "to_spark_dataframe": "read it with to_pandas_dataframe, or let Spark read to_path().",
    "to_dask_dataframe": "read it with to_pandas_dataframe.",
    "data_changed_time": "a definition names no content; diff() tells what changed.",
    "submit_profile_run": "get_profile() computes it here.",
    "get_profile_runs": "get_profile() computes it here.",
}


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UserErrorException(f"a number of records must be 0 or more, not {value!r}.")
    return value


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise UserErrorException(f"a share must be between 0 and 1, not {value!r}.")
    return float(value)


def _origin() -> Dict[str, str]:
    own = hidden.origin()
    return {"run": own.get("pipeline_run", ""), "step_run": own["run"]} if "run" in own else {}
