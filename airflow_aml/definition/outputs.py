"""Output configs: what steps write and hand on (reference 1.2)."""

from __future__ import annotations

import copy
import re
import warnings
from dataclasses import replace
from typing import Any, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from airflow_aml.definition.consumption import DatasetConsumptionConfig
from airflow_aml.definition.data.datatypes import DataType, column_types, header_word
from airflow_aml.definition.data.model import Operation, Reading, Registration
from airflow_aml.definition.data.partitions import PartitionFormat
from airflow_aml.definition.datastore import Datastore, datastore_name, relative_path
from airflow_aml.definition.names import check_port_name
from airflow_aml.definition.pipelinedata import InputPortBinding, PipelineData
from airflow_aml.definition.producer import Producer
from airflow_aml.errors import NotServedError, PipelineDefinitionError, UserErrorException

__all__ = [
    "HDFSOutputDatasetConfig",
    "InputPortBinding",
    "LinkFileOutputDatasetConfig",
    "LinkTabularOutputDatasetConfig",
    "OutputDatasetConfig",
    "OutputFileDatasetConfig",
    "OutputTabularDatasetConfig",
    "PipelineData",
    "Producer",
    "StepOutputObject",
]

Destination = Union[Datastore, str, Tuple[Union[Datastore, str], Optional[str]]]
Self = TypeVar("Self", bound="OutputDatasetConfig")
Types = Optional[Mapping[str, DataType]]


class OutputDatasetConfig:
    """What all output configs have in common."""

    link = False
    is_tabular = False
    datastore: Optional[str] = None
    path: Optional[str] = None
    source: Optional[str] = None
    mode = "mount"
    overwrite = True
    source_globs: Tuple[str, ...] = ()
    reading: Optional[Reading] = None
    operations: Tuple[Operation, ...] = ()
    partition_format: Optional[str] = None
    input_mode = "mount"
    registered_as: Tuple[str, ...] = ()

    def __init__(self, name: Optional[str] = None):
        self._name = None if name is None else check_port_name(name, "output")
        self.producer = Producer()

    @property
    def name(self) -> Optional[str]:
        """The output's name; None as long as it has neither been given one nor used in a step."""
        return self._name or self.producer.port

    @name.setter
    def name(self, value: str) -> None:
        self._name = check_port_name(value, "output")

    def register_on_complete(
        self: Self,
        name: str,
        description: Optional[str] = None,
        tags: Optional[Mapping[str, str]] = None,
    ) -> Self:
        """A copy that becomes a new version of a registered dataset when the step has succeeded.

        It counts whichever copy of the output the step is given (v1 forgot it unless the step got
        this very copy, reference 0.1), and never after a failure (v1 registered then too). What
        is read or done after it counts too, if the step is given that copy.

        Raises:
            ValueError: no name (v1's text).
        """
        if not isinstance(name, str) or not name.strip():
            raise PipelineDefinitionError("The registration name of the dataset must not be empty.")
        said = {str(key): str(value) for key, value in dict(tags or {}).items()}
        self.producer.register(
            Registration(
                name,
                description or "",
                said,
                self.reading,
                self.operations,
                self.partition_format,
            )
        )
        other = copy.copy(self)
        other.registered_as = (*self.registered_as, name)
        return other

    @property
    def registrations(self) -> Tuple[Registration, ...]:
        """What the output is registered as if a step is given this copy."""
        return tuple(
            replace(
                each,
                reading=self.reading,
                operations=self.operations,
                partition_format=self.partition_format,
            )
            if each.name in self.registered_as
            else each
            for each in self.producer.registrations
        )

    def as_input(self, name: Optional[str] = None) -> DatasetConsumptionConfig:
        """This output as an input of another step, which then waits for it."""
        return DatasetConsumptionConfig(name, self, self.input_mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


class OutputFileDatasetConfig(OutputDatasetConfig):
    """A folder that a step writes, handed on to other steps as a directory.

    Args:
        name: letters, digits, underscores; without one, the position in the step gives a stable
            name (v1 made a random one, which defeated reuse).
        destination: ``(datastore, 'path')``, a datastore, or None for a place of the workspace's
            own. The path may hold ``{run-id}`` and ``{output-name}``. Without ``{run-id}`` it
            is a *view*: the run's own copy stays beside it, unchanged by later runs.
        source: where on the compute the script writes; generated when None.
        partition_format: columns to read from the files' paths once it is registered.

    All ``as_*``, ``read_*`` and ``register_*`` return copies that stand for the same output.

    Raises:
        UserErrorException: a name or destination that cannot be used.
    """

    def __init__(
        self,
        name: Optional[str] = None,
        destination: Optional[Destination] = None,
        source: Optional[str] = None,
        partition_format: Optional[str] = None,
    ):
        super().__init__(name)
        if destination is not None:
            self.datastore, self.path = _destination(destination, self._name)
        if source is not None:
            self.source = source
        if partition_format is not None:
            self.partition_format = PartitionFormat(partition_format).text

    def as_mount(self, disable_metadata_cache: bool = False) -> OutputFileDatasetConfig:
        """A copy in mount mode (the default). The cache setting has no meaning here."""
        return _mounted(self)

    def as_upload(
        self,
        overwrite: bool = False,
        source_globs: Union[str, Sequence[str], None] = None,
    ) -> OutputFileDatasetConfig:
        """A copy in upload mode.

        Args:
            overwrite: whether files of a fixed destination may be replaced; without it an existing
                file of the same name fails the step.
            source_globs: keep only files that match one of these patterns.
        """
        return _uploaded(self, overwrite, source_globs)

    def read_delimited_files(
        self,
        include_path: bool = False,
        separator: str = ",",
        header: Any = True,
        partition_format: Optional[str] = None,
        path_glob: Optional[str] = None,
        set_column_types: Types = None,
    ) -> OutputTabularDatasetConfig:
        """This output as a table of delimited files.

        Args:
            path_glob: a *regular expression* (v1's code takes it for one) that files' names have
                to match.
            set_column_types: ``{'age': DataType.to_long()}``.
        """
        options = {
            "include_path": include_path,
            "separator": "" if separator == "," else separator,
            "header": "" if header_word(header) == "same" else header_word(header),
            **_reading_options(partition_format, path_glob, set_column_types),
        }
        return _as_table(self, Reading("delimited", _said(options)))

    def read_parquet_files(
        self,
        include_path: bool = False,
        partition_format: Optional[str] = None,
        path_glob: Optional[str] = None,
        set_column_types: Types = None,
    ) -> OutputTabularDatasetConfig:
        """This output as a table of Parquet files; arguments as of delimited ones."""
        options = {
            "include_path": include_path,
            **_reading_options(partition_format, path_glob, set_column_types),
        }
        return _as_table(self, Reading("parquet", _said(options)))


class OutputTabularDatasetConfig(OutputDatasetConfig):
    """An output that is read as a table; made by ``read_delimited_files`` and the like.

    Raises:
        ValueError: it is built directly (as in v1).
    """

    is_tabular = True
    input_mode = "direct"

    def __init__(self, **_: Any):
        raise PipelineDefinitionError(
            "OutputTabularDatasetConfig cannot be built directly.",
            hint="Call read_delimited_files() or read_parquet_files() on a file output.",
        )

    def as_mount(self) -> OutputTabularDatasetConfig:
        """A copy whose files are written in mount mode (the default)."""
        return _mounted(self)

    def as_upload(
        self,
        overwrite: bool = False,
        source_globs: Union[str, Sequence[str], None] = None,
    ) -> OutputTabularDatasetConfig:
        """A copy whose files are written in upload mode; as of a file output."""
        return _uploaded(self, overwrite, source_globs)

    def keep_columns(self, columns: Union[str, Sequence[str]]) -> OutputTabularDatasetConfig:
        """A copy with only these columns."""
        return self._with("keep_columns", columns=_columns(columns))

    def drop_columns(self, columns: Union[str, Sequence[str]]) -> OutputTabularDatasetConfig:
        """A copy without these columns."""
        return self._with("drop_columns", columns=_columns(columns))

    def random_split(
        self, percentage: float, seed: Optional[int] = None
    ) -> Tuple[OutputTabularDatasetConfig, OutputTabularDatasetConfig]:
        """Two views that share no record and together are this one; named ``_1`` and ``_2``."""
        if not 0 <= percentage <= 1:
            raise UserErrorException(f"a share must be between 0 and 1, not {percentage!r}.")
        share = {"share": float(percentage), "seed": 0 if seed is None else int(seed)}
        first = self._with("random_split", **share, part=1)
        second = self._with("random_split", **share, part=2)
        if self.name:
            first.name, second.name = f"{self.name}_1", f"{self.name}_2"
        return first, second

    def _with(self, name: str, **arguments: Any) -> OutputTabularDatasetConfig:
        other = copy.copy(self)
        other.operations = (*self.operations, Operation(name, arguments))
        return other


class _LinkOutputDatasetConfig(OutputDatasetConfig):
    link = True
    mode = "link"
    input_mode = "direct"


class LinkFileOutputDatasetConfig(_LinkOutputDatasetConfig):
    """An output without files: the script hands on a dataset that is there already.

    It calls ``run.output_datasets[name].link(dataset)``; steps that read it get that dataset.
    """


class LinkTabularOutputDatasetConfig(_LinkOutputDatasetConfig):
    """The same for a tabular dataset."""

    is_tabular = True


class HDFSOutputDatasetConfig:
    """Not served: outputs of Synapse Spark.

    Raises:
        NotServedError: always.
    """

    def __init__(self, *_: Any, **__: Any):
        raise NotServedError(
            "HDFSOutputDatasetConfig is not served: it belongs to Synapse Spark.",
            hint="Use OutputFileDatasetConfig.",
        )


_Any = TypeVar("_Any", bound=OutputDatasetConfig)


def _mounted(config: _Any) -> _Any:
    other = copy.copy(config)
    other.mode, other.overwrite, other.source_globs = "mount", True, ()
    return other


def _uploaded(config: _Any, overwrite: bool, source_globs: Union[str, Sequence[str], None]) -> _Any:
    other = copy.copy(config)
    other.mode, other.overwrite = "upload", overwrite
    globs = [source_globs] if isinstance(source_globs, str) else list(source_globs or ())
    other.source_globs = tuple(globs)
    return other


def _as_table(config: OutputFileDatasetConfig, reading: Reading) -> OutputTabularDatasetConfig:
    other = OutputTabularDatasetConfig.__new__(OutputTabularDatasetConfig)
    other.__dict__.update(config.__dict__)
    other.reading = reading
    other.partition_format = None
    return other


def _reading_options(
    partition_format: Optional[str], path_glob: Optional[str], types: Types
) -> Mapping[str, Any]:
    import re

    if partition_format is not None:
        PartitionFormat(partition_format)
    if path_glob:
        try:
            re.compile(path_glob)
        except re.error as error:
            raise UserErrorException(
                f"path_glob {path_glob!r} is no regular expression: {error}.",
                hint=r"v1 takes it for one: write '.*\.csv$' rather than '*.csv'.",
            ) from error
    return {
        "partition_format": partition_format,
        "path_glob": path_glob,
        "types": column_types(types),
    }


def _said(options: Mapping[str, Any]) -> Any:
    return {key: value for key, value in options.items() if value}


def _columns(columns: Union[str, Sequence[str]]) -> Any:
    return [columns] if isinstance(columns, str) else list(columns)


def _destination(value: Destination, name: Optional[str]) -> Tuple[Optional[str], Optional[str]]:
    where = f"OutputFileDatasetConfig {name!r}" if name else "OutputFileDatasetConfig"
    if isinstance(value, tuple) and len(value) == 2:
        store, path = datastore_name(value[0], where), value[1]
        _warn_of_unknown_tokens(str(path), where)
        return store or None, None if path is None else relative_path(path, where) or None
    if isinstance(value, (Datastore, str)):
        # v1 refuses a bare datastore although its guide shows one (reference 0.2).
        return datastore_name(value, where) or None, None
    raise UserErrorException(f"destination must be (datastore, path), not {value!r}.", where=where)


def _warn_of_unknown_tokens(path: str, where: str) -> None:
    unknown = sorted(set(re.findall(r"\{[^{}]*\}", path)) - {"{run-id}", "{output-name}"})
    if unknown:
        warnings.warn(
            f"{where}: {', '.join(unknown)} in destination= stands for nothing and is taken as it "
            "is; {run-id} and {output-name} are replaced.",
            stacklevel=4,
        )


StepOutputObject = Union[OutputDatasetConfig, PipelineData]
