"""DatasetConsumptionConfig: a dataset, or another step's output, as an input port of a step."""

from __future__ import annotations

import copy
from typing import Any, Optional

from airflow_aml.definition.names import check_port_name
from airflow_aml.errors import NotServedError, UserErrorException

MODES = ("mount", "download", "direct")


class DatasetConsumptionConfig:
    """A dataset, or another step's output, as an input port of a step (reference 1.2).

    ``as_mount`` and ``as_download`` return copies. A port without a name gets a stable one from
    its position when the step is built (v1 made a random one, which defeated reuse).

    Raises:
        UserErrorException: a mode that does not exist, or that the dataset does not have.
    """

    def __init__(
        self,
        name: Optional[str],
        dataset: Any,
        mode: str = "direct",
        path_on_compute: Optional[str] = None,
    ):
        if mode == "hdfs":
            raise _no_hdfs()
        if mode not in MODES:
            raise UserErrorException(
                f"Invalid mode {mode!r}. Mode can only be mount, download, or direct."
            )
        # Of a PipelineParameter its default counts, which may be such a config itself.
        read = getattr(dataset, "default_value", dataset)
        read = getattr(read, "dataset", read) if read is not dataset else read
        if mode != "direct" and getattr(read, "is_tabular", False):
            raise UserErrorException(
                f"{type(read).__name__} does not support {mode}. Only FileDataset supports {mode}.",
                hint="A tabular dataset arrives as its id; read it with "
                "Run.get_context().input_datasets[name].to_pandas_dataframe().",
            )
        self.name = None if name is None else check_port_name(name, "input")
        self.dataset = dataset
        self.mode = mode
        self.path_on_compute = path_on_compute

    def as_mount(self, path_on_compute: Optional[str] = None) -> DatasetConsumptionConfig:
        """A copy that the script sees as a path."""
        return self._with_mode("mount", path_on_compute)

    def as_download(self, path_on_compute: Optional[str] = None) -> DatasetConsumptionConfig:
        """A copy that the script sees as a local path."""
        return self._with_mode("download", path_on_compute)

    def as_hdfs(self) -> DatasetConsumptionConfig:
        """Not served."""
        raise _no_hdfs()

    def _with_mode(self, mode: str, path_on_compute: Optional[str]) -> DatasetConsumptionConfig:
        other = copy.copy(self)
        # Through the constructor, which knows what the dataset can be.
        DatasetConsumptionConfig.__init__(other, None, self.dataset, mode, path_on_compute)
        other.name = self.name
        return other

    def __repr__(self) -> str:
        return f"DatasetConsumptionConfig(name={self.name!r}, mode={self.mode!r})"


def _no_hdfs() -> NotServedError:
    return NotServedError(
        "hdfs mode is not served: it belongs to Synapse Spark.", hint="Use mount or download."
    )
