"""TabularDataset: files or a query that are read as a table (reference 1.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, List, Optional, Sequence, TypeVar, Union

from airflow_aml.definition.abstract import AbstractDataset
from airflow_aml.definition.data.model import Query, Registered, Table
from airflow_aml.definition.setup import refuse_while_loading
from airflow_aml.errors import NotServedError, UserErrorException

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from airflow_aml.definition.data.profile import DatasetProfile

Columns = Union[str, Sequence[str]]
Self = TypeVar("Self", bound="TabularDataset")


class TabularDataset(AbstractDataset):
    """Records with columns; read with pandas by whoever calls ``to_pandas_dataframe``.

    Made by ``Dataset.Tabular.from_delimited_files`` and the like. As a step's input it arrives as
    its id: ``Run.get_context().input_datasets[name]`` or ``Dataset.get_by_id`` gives it back.
    """

    is_tabular = True

    def to_pandas_dataframe(
        self, on_error: str = "null", out_of_range_datetime: str = "null"
    ) -> Any:
        """All records as a pandas DataFrame.

        Args:
            on_error: what becomes of a value that is not of its column's type: ``null`` makes it
                a missing one, ``fail`` raises.
            out_of_range_datetime: ``null`` is what happens; v1's ``fail`` comes with ``on_error``.

        Raises:
            UserErrorException: a file is missing or not what it is said to be; the text names it.
        """
        if on_error not in ("null", "fail"):
            raise UserErrorException(f"on_error must be 'null' or 'fail', not {on_error!r}.")
        refuse_while_loading("TabularDataset.to_pandas_dataframe")
        try:
            return self._read(on_error)
        except UserErrorException as error:
            # The text says it all; below it in a step's log nobody needs what pandas was doing.
            raise error.with_traceback(None) from None

    def _read(self, on_error: str) -> Any:
        definition = self.definition
        if isinstance(definition, Query):
            from airflow_aml.definition.data.sql import read_query
            from airflow_aml.definition.homes import home_of

            self._note()
            return read_query(definition, home_of(self._workspace), on_error)
        assert isinstance(definition, Table)
        from airflow_aml.definition.data.operations import apply_to_frame, row_limit
        from airflow_aml.definition.data.places import opened
        from airflow_aml.definition.data.reading import read_table

        limit = row_limit(definition.operations)
        frame = read_table(
            self._files(), definition.reading, opened, limit=limit, on_error=on_error
        )
        return apply_to_frame(frame, definition.operations)

    def keep_columns(self: Self, columns: Columns, validate: bool = False) -> Self:
        """Only these columns, in the dataset's order."""
        return self._with("keep_columns", columns=_names(columns))

    def drop_columns(self: Self, columns: Columns) -> Self:
        """All but these columns."""
        return self._with("drop_columns", columns=_names(columns))

    # -- time -----------------------------------------------------------------------------------

    def with_timestamp_columns(
        self: Self,
        timestamp: Optional[str] = None,
        partition_timestamp: Optional[str] = None,
        validate: bool = False,
        **old: Any,
    ) -> Self:
        """Says which columns hold the records' time, for ``time_before`` and the like.

        Args:
            timestamp: the fine-grained column (v1's older ``fine_grain_timestamp``).
            partition_timestamp: the coarse one, from the files' paths.

        Raises:
            UserErrorException: both are the same column.
        """
        timestamp = timestamp or old.get("fine_grain_timestamp")
        partition_timestamp = partition_timestamp or old.get("coarse_grain_timestamp")
        if timestamp and timestamp == partition_timestamp:
            raise UserErrorException(
                "timestamp and partition_timestamp must not be the same column."
            )
        return self._with(
            "timestamps", timestamp=timestamp, partition_timestamp=partition_timestamp
        )

    @property
    def timestamp_columns(self) -> Any:
        """``(timestamp, partition_timestamp)``, each None where it was not said."""
        found = self._timestamps()
        return (found.get("timestamp"), found.get("partition_timestamp"))

    def time_before(
        self: Self, end_time: datetime, include_boundary: bool = True, validate: bool = True
    ) -> Self:
        """The records up to a moment."""
        return self._time(end=_moment(end_time), include_boundary=include_boundary)

    def time_after(
        self: Self, start_time: datetime, include_boundary: bool = True, validate: bool = True
    ) -> Self:
        """The records from a moment on."""
        return self._time(start=_moment(start_time), include_boundary=include_boundary)

    def time_between(
        self: Self,
        start_time: datetime,
        end_time: datetime,
        include_boundary: bool = True,
        validate: bool = True,
    ) -> Self:
        """The records between two moments."""
        return self._time(
            start=_moment(start_time), end=_moment(end_time), include_boundary=include_boundary
        )

    def time_recent(
        self: Self, time_delta: timedelta, include_boundary: bool = True, validate: bool = True
    ) -> Self:
        """The records of the last so much time before they are read."""
        if not hasattr(time_delta, "total_seconds"):
            raise UserErrorException(f"time_delta must be a timedelta, not {time_delta!r}.")
        return self._time(seconds=time_delta.total_seconds(), include_boundary=include_boundary)

    def _time(self: Self, **arguments: Any) -> Self:
        unknown = isinstance(self.source, Registered) and self._definition is None
        if not unknown and not any(self._timestamps().values()):
            from airflow_aml.definition.data.operations import no_timestamp

            raise no_timestamp()
        return self._with("time", **arguments)

    def _timestamps(self) -> Any:
        source = self._definition or self.source
        for operation in reversed(source.operations):
            if operation.name == "timestamps":
                return operation.arguments
        return {}

    # -- whole data -----------------------------------------------------------------------------

    def get_profile(self, *_: Any, **__: Any) -> DatasetProfile:
        """Summary statistics of every column, computed here."""
        from airflow_aml.definition.data.profile import profile_of

        return profile_of(self.to_pandas_dataframe())

    def partition_by(
        self,
        partition_keys: Sequence[str],
        target: Any,
        name: Optional[str] = None,
        show_progress: bool = True,
        partition_as_file_dataset: bool = False,
    ) -> AbstractDataset:
        """Writes the records as Parquet, one folder for each value of each key.

        Args:
            target: a ``DataPath`` or ``(datastore, path)``.
            name: registers the result under it.
            partition_as_file_dataset: return its files rather than its records.
        """
        from airflow_aml.definition.data.writing import write_partitions

        refuse_while_loading("TabularDataset.partition_by")
        made: AbstractDataset = write_partitions(
            self, _names(partition_keys), target, name, show_progress, partition_as_file_dataset
        )
        return made

    def to_csv_files(self, separator: str = ",") -> AbstractDataset:
        """Not served: a step writes its own files."""
        raise NotServedError(
            "TabularDataset.to_csv_files is not served.", hint="Use to_pandas_dataframe().to_csv()."
        )

    def to_parquet_files(self) -> AbstractDataset:
        """Not served: a step writes its own files."""
        raise NotServedError(
            "TabularDataset.to_parquet_files is not served.",
            hint="Use partition_by, or to_pandas_dataframe().to_parquet().",
        )

    def download(self, *_: Any, **__: Any) -> List[str]:
        """Not served: columns of streams need v1's data engine."""
        raise NotServedError("Stream columns are not served.", hint="Use a file dataset.")

    mount = download

    def _partition_format(self) -> Optional[str]:
        definition = self.definition
        if isinstance(definition, Table):
            text: Optional[str] = definition.reading.options.get("partition_format")
            return text
        return None

    def __repr__(self) -> str:
        source = self._definition or self.source
        shown: str
        if isinstance(source, Table):
            shown = ", ".join(path.path for path in source.paths)
        else:
            shown = source.query if isinstance(source, Query) else getattr(source, "name", "")
        return f"TabularDataset({shown})"


def _names(columns: Any) -> List[str]:
    names = [columns] if isinstance(columns, str) else list(columns)
    if not names or not all(isinstance(name, str) for name in names):
        raise UserErrorException(f"columns must be names, not {columns!r}.")
    return names


def _moment(value: Any) -> str:
    from datetime import datetime

    if not isinstance(value, datetime):
        raise UserErrorException(f"a time must be a datetime, not {value!r}.")
    return value.isoformat()
