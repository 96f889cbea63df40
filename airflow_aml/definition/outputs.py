"""What steps write and hand on: OutputFileDatasetConfig and PipelineData (reference 1.2, 1.3)."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Optional, Sequence, Tuple, Union

from airflow_aml.definition.dataset import DatasetConsumptionConfig
from airflow_aml.definition.datastore import Datastore, datastore_name, relative_path
from airflow_aml.definition.names import check_pipeline_data_name, check_port_name
from airflow_aml.errors import NotServedError, PipelineDefinitionError, UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.step import PipelineStep

Destination = Union[Datastore, str, Tuple[Union[Datastore, str], Optional[str]]]


class Producer:
    """Which step writes an output, and under which port name. Copies of one output share it."""

    __slots__ = ("port", "step")

    def __init__(self) -> None:
        self.step: Optional[PipelineStep] = None
        self.port: Optional[str] = None


class OutputFileDatasetConfig:
    """A folder that a step writes, handed on to other steps as a directory (reference 1.2).

    Args:
        name: letters, digits, underscores; without one, the position in the step gives a stable
            name (v1 made a random one, which defeated reuse).
        destination: ``(datastore, 'path')``, a datastore, or None for a place of the workspace's
            own. The path may hold ``{run-id}`` and ``{output-name}``. Without ``{run-id}`` it
            is a *view*: the run's own copy stays beside it, unchanged by later runs.
        source: where on the compute the script writes; generated when None.

    ``as_mount`` and ``as_upload`` return copies that stand for the same output.

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
        if partition_format is not None:
            raise NotServedError("partition_format comes with the data release.")
        self._name = None if name is None else check_port_name(name, "output")
        self.datastore, self.path = _destination(destination, self._name)
        self.source = source
        self.mode = "mount"
        self.overwrite = True
        self.source_globs: Tuple[str, ...] = ()
        self.producer = Producer()

    @property
    def name(self) -> Optional[str]:
        """The output's name; None as long as it has neither been given one nor used in a step."""
        return self._name or self.producer.port

    @name.setter
    def name(self, value: str) -> None:
        self._name = check_port_name(value, "output")

    def as_mount(self, disable_metadata_cache: bool = False) -> OutputFileDatasetConfig:
        """A copy in mount mode (the default). The cache setting has no meaning here."""
        other = copy.copy(self)
        other.mode, other.overwrite, other.source_globs = "mount", True, ()
        return other

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
        other = copy.copy(self)
        other.mode, other.overwrite = "upload", overwrite
        globs = [source_globs] if isinstance(source_globs, str) else list(source_globs or ())
        other.source_globs = tuple(globs)
        return other

    def as_input(self, name: Optional[str] = None) -> DatasetConsumptionConfig:
        """This output as an input of another step, which then waits for it. Always a directory."""
        return DatasetConsumptionConfig(name, self, "mount")

    def __getattr__(self, name: str) -> Any:
        if name in _LATER:
            raise NotServedError(f"OutputFileDatasetConfig.{name} comes with the data release.")
        raise AttributeError(f"'OutputFileDatasetConfig' object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"OutputFileDatasetConfig(name={self.name!r})"


_LATER = frozenset(["register_on_complete", "read_delimited_files", "read_parquet_files"])


def _destination(value: Any, name: Optional[str]) -> Tuple[Optional[str], Optional[str]]:
    where = f"OutputFileDatasetConfig {name!r}" if name else "OutputFileDatasetConfig"
    if value is None:
        return None, None
    if isinstance(value, tuple) and len(value) == 2:
        store, path = datastore_name(value[0], where), value[1]
        return store, None if path is None else relative_path(path, where) or None
    if isinstance(value, (Datastore, str)):
        # v1 refuses a bare datastore although its guide shows one (reference 0.2).
        return datastore_name(value, where), None
    raise UserErrorException(f"destination must be (datastore, path), not {value!r}.", where=where)


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
            raise NotServedError("additional_transformations come with the data release.")
        self.name = check_port_name(name, "input")
        self.bind_object = bind_object
        self.bind_mode = bind_mode
        self.path_on_compute = path_on_compute
        self.overwrite = overwrite
        self.is_resource = is_resource


class PipelineData:
    """Intermediate data of a pipeline: one step's output, other steps' input (reference 1.3).

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
        self.datastore = None if datastore is None else datastore_name(datastore)
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

    def as_dataset(self) -> Any:
        """Comes with the data release."""
        raise NotServedError("PipelineData.as_dataset comes with the data release.")

    def get_env_variable_name(self) -> str:
        """The environment variable that holds this data's path in a step."""
        return f"$AZUREML_DATAREFERENCE_{self.name}"

    def __str__(self) -> str:
        return self.get_env_variable_name()

    def __repr__(self) -> str:
        return f"PipelineData(name={self.name!r})"


StepOutputObject = Union[OutputFileDatasetConfig, PipelineData]
