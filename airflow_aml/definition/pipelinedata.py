"""PipelineData and what can be made of it (reference 1.3 Data between steps)."""

from __future__ import annotations

import copy
from typing import Any, Mapping, Optional, Sequence, Tuple, TypeVar, Union

from airflow_aml.definition.consumption import DatasetConsumptionConfig
from airflow_aml.definition.data.datatypes import DataType, column_types, header_word
from airflow_aml.definition.data.model import Operation, Reading, Registration
from airflow_aml.definition.datastore import Datastore, datastore_name
from airflow_aml.definition.names import check_pipeline_data_name, check_port_name
from airflow_aml.definition.producer import Producer
from airflow_aml.errors import NotServedError, PipelineDefinitionError

Self = TypeVar("Self", bound="PipelineOutputDataset")


class InputPortBinding:
    """A ``PipelineData`` (or any input object) bound to a step's input under a name of its own.

    Raises:
        PipelineDefinitionError: a mode that does not exist.
    """

    def __init__(
        self,
        name: str,
        bind_object: Any = None,
        bind_mode: str = "mount",
        path_on_compute: Optional[str] = None,
        overwrite: Optional[bool] = None,
        is_resource: bool = False,
        additional_transformations: Any = None,
    ):
        if bind_mode not in ("mount", "download", "direct"):
            raise PipelineDefinitionError(f"invalid bind_mode {bind_mode}")
        if additional_transformations is not None:
            raise NotServedError(
                "additional_transformations are not served.",
                hint="Use read_delimited_files() and its transformations.",
            )
        self.name = check_port_name(name, "input")
        self.bind_object = bind_object
        self.bind_mode = bind_mode
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite
        self.is_resource = is_resource


class PipelineData:
    """Intermediate data of a pipeline: one step's output, other steps' input.

    The script gets a path whose parent exists; it makes the file or folder itself.

    Raises:
        PipelineDefinitionError: a name or output mode that v1 refuses.
    """

    def __init__(
        self,
        name: str,
        datastore: Optional[Datastore] = None,
        output_name: Optional[str] = None,
        output_mode: str = "mount",
        output_path_on_compute: Optional[str] = None,
        output_overwrite: Optional[bool] = None,
        data_type: Optional[str] = None,
        is_directory: Optional[bool] = None,
        pipeline_output_name: Optional[str] = None,
        training_output: Any = None,
    ):
        if output_mode not in ("mount", "upload"):
            raise PipelineDefinitionError(f"Invalid output mode [{output_mode}]")
        if training_output is not None:
            raise NotServedError("TrainingOutput belongs to AutoML and HyperDrive steps.")
        self.name = check_pipeline_data_name(name)
        self.datastore = None if datastore is None else datastore_name(datastore) or None
        self.output_name = check_pipeline_data_name(output_name or name)
        self.output_mode = output_mode
        self.output_path_on_compute = output_path_on_compute
        self.output_overwrite = output_overwrite
        self.data_type = data_type
        self.is_directory = is_directory
        self.pipeline_output_name = pipeline_output_name
        self.producer = Producer()

    def as_input(self, input_name: str) -> InputPortBinding:
        """This data as an input under another name."""
        return InputPortBinding(input_name, self)

    def as_mount(self, input_name: Optional[str] = None) -> InputPortBinding:
        """This data as a mounted input."""
        return InputPortBinding(input_name or self.name, self)

    def as_download(
        self,
        input_name: Optional[str] = None,
        path_on_compute: Optional[str] = None,
        overwrite: Optional[bool] = None,
    ) -> InputPortBinding:
        """This data as a downloaded input."""
        return InputPortBinding(
            input_name or self.name, self, "download", path_on_compute, overwrite
        )

    def create_input_binding(
        self,
        input_name: Optional[str] = None,
        mode: Optional[str] = None,
        path_on_compute: Optional[str] = None,
        overwrite: Optional[bool] = None,
    ) -> InputPortBinding:
        """This data as an input with all settings."""
        return InputPortBinding(
            input_name or self.name, self, mode or "mount", path_on_compute, overwrite
        )

    def as_dataset(self) -> PipelineOutputFileDataset:
        """This data as a dataset: v1's older form of ``OutputFileDatasetConfig``."""
        return PipelineOutputFileDataset(self)

    def get_env_variable_name(self) -> str:
        """The environment variable that holds this data's path in a step."""
        return f"$AZUREML_DATAREFERENCE_{self.name}"

    def __str__(self) -> str:
        return self.get_env_variable_name()

    def __repr__(self) -> str:
        return f"PipelineData(name={self.name!r})"


class PipelineOutputDataset:
    """A ``PipelineData`` as a dataset, for the step that writes it and for those that read it."""

    is_tabular = False
    mode = "mount"
    path_on_compute: Optional[str] = None
    reading: Optional[Reading] = None
    operations: Tuple[Operation, ...] = ()
    input_name: Optional[str] = None

    def __init__(self, pipeline_data: PipelineData):
        self.pipeline_data = pipeline_data

    @property
    def producer(self) -> Producer:
        """Who writes it."""
        return self.pipeline_data.producer

    @property
    def name(self) -> str:
        """The data's name."""
        return self.input_name or self.pipeline_data.name

    def as_named_input(self: Self, name: str) -> Self:
        """A copy that is an input under that name."""
        return self._with(input_name=check_port_name(name, "input"))

    def register(self: Self, name: str, create_new_version: bool = True) -> Self:
        """Registers the data under a name when its step has succeeded; always a new version.

        Raises:
            PipelineDefinitionError: no name.
        """
        if not isinstance(name, str) or not name.strip():
            raise PipelineDefinitionError("The registration name of the dataset must not be empty.")
        self.producer.register(Registration(name, reading=self.reading, operations=self.operations))
        return copy.copy(self)

    def as_config(self) -> DatasetConsumptionConfig:
        """The dataset as an input port."""
        return DatasetConsumptionConfig(self.name, self, self.mode, self.path_on_compute)

    def _with(self: Self, **changes: Any) -> Self:
        other = copy.copy(self)
        other.__dict__.update(changes)
        return other

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r})"


class PipelineOutputFileDataset(PipelineOutputDataset):
    """A ``PipelineData`` as a file dataset; made by ``PipelineData.as_dataset()``."""

    def as_mount(self, path_on_compute: Optional[str] = None) -> PipelineOutputFileDataset:
        """A copy that the script sees as a path."""
        return self._with(mode="mount", path_on_compute=path_on_compute)

    def as_download(self, path_on_compute: Optional[str] = None) -> PipelineOutputFileDataset:
        """A copy that the script sees as a local path."""
        return self._with(mode="download", path_on_compute=path_on_compute)

    def as_direct(self) -> PipelineOutputFileDataset:
        """A copy that the script gets as a dataset's id."""
        return self._with(mode="direct", path_on_compute=None)

    def parse_delimited_files(
        self,
        include_path: bool = False,
        separator: str = ",",
        header: Any = True,
        partition_format: Optional[str] = None,
        file_extension: str = "",
        set_column_types: Optional[Mapping[str, DataType]] = None,
        quoted_line_breaks: bool = False,
    ) -> PipelineOutputTabularDataset:
        """The data as a table of delimited files.

        Args:
            file_extension: only files whose names end so.
        """
        word = header_word(header)
        options = {
            "include_path": include_path,
            "separator": "" if separator == "," else separator,
            "header": "" if word == "same" else word,
        }
        return self._table("delimited", options, partition_format, file_extension, set_column_types)

    def parse_parquet_files(
        self,
        include_path: bool = False,
        partition_format: Optional[str] = None,
        file_extension: str = ".parquet",
        set_column_types: Optional[Mapping[str, DataType]] = None,
    ) -> PipelineOutputTabularDataset:
        """The data as a table of Parquet files."""
        options = {"include_path": include_path}
        return self._table("parquet", options, partition_format, file_extension, set_column_types)

    def _table(
        self,
        form: str,
        options: Mapping[str, Any],
        partition_format: Optional[str],
        extension: str,
        types: Optional[Mapping[str, DataType]],
    ) -> PipelineOutputTabularDataset:
        import re

        everything = {
            **options,
            "partition_format": partition_format,
            "path_glob": extension and f"{re.escape(extension)}$",
            "types": column_types(types),
        }
        said = {key: value for key, value in everything.items() if value}
        other = PipelineOutputTabularDataset(self.pipeline_data)
        other.input_name = self.input_name
        other.reading = Reading(form, said)
        return other


class PipelineOutputTabularDataset(PipelineOutputDataset):
    """A ``PipelineData`` as a table; made by ``parse_delimited_files`` and the like."""

    is_tabular = True
    mode = "direct"

    def keep_columns(self, columns: Union[str, Sequence[str]]) -> PipelineOutputTabularDataset:
        """A copy with only these columns."""
        return self._doing("keep_columns", columns=_listed(columns))

    def drop_columns(self, columns: Union[str, Sequence[str]]) -> PipelineOutputTabularDataset:
        """A copy without these columns."""
        return self._doing("drop_columns", columns=_listed(columns))

    def random_split(
        self, percentage: float, seed: Optional[int] = None
    ) -> Tuple[PipelineOutputTabularDataset, PipelineOutputTabularDataset]:
        """Two views that share no record and together are this one."""
        share = {"share": float(percentage), "seed": 0 if seed is None else int(seed)}
        return (
            self._doing("random_split", **share, part=1),
            self._doing("random_split", **share, part=2),
        )

    def _doing(self, name: str, **arguments: Any) -> PipelineOutputTabularDataset:
        return self._with(operations=(*self.operations, Operation(name, arguments)))


def _listed(columns: Union[str, Sequence[str]]) -> Sequence[str]:
    return [columns] if isinstance(columns, str) else list(columns)
