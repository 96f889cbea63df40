"""``Dataset.File`` and ``Dataset.Tabular``: datasets from paths, queries and DataFrames."""

from __future__ import annotations

import os
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple, Union

from airflow_aml.definition.data.datatypes import DataType, column_types, header_word
from airflow_aml.definition.data.model import (
    DataPlace,
    Files,
    LocalPath,
    Query,
    Reading,
    StoredPath,
    Table,
    WebPath,
)
from airflow_aml.definition.data.partitions import PartitionFormat
from airflow_aml.definition.datareference import DataPath, DataReference
from airflow_aml.definition.datastore import Datastore, datastore_name, relative_path
from airflow_aml.definition.filedataset import FileDataset
from airflow_aml.definition.origin import defining_folder
from airflow_aml.definition.runs.outputs import OutputStore
from airflow_aml.definition.setup import refuse_while_loading
from airflow_aml.definition.tabular import TabularDataset
from airflow_aml.errors import NotServedError, UserErrorException

DatasetPath = Union[str, "os.PathLike[str]", Tuple[Datastore, str], DataPath, DataReference]
DatasetPaths = Union[DatasetPath, Sequence[DatasetPath]]
Types = Optional[Mapping[str, DataType]]

_URL_SCHEMES = ("http", "https")


class FileDatasetFactory:
    """``Dataset.File``."""

    @staticmethod
    def from_files(
        path: DatasetPaths,
        validate: bool = True,
        partition_format: Optional[str] = None,
        is_file: bool = False,
    ) -> FileDataset:
        """A file dataset from paths of datastores, of this machine, or URLs.

        Args:
            path: ``(datastore, 'relative/glob/**')``, a ``DataPath``, a local path (relative to
                the defining file's folder), a URL, or a list of these.
            validate: checked when the data is read, since a definition reads nothing.
            partition_format: columns to read from the paths: ``'{year:yyyy}/{store}/data.csv'``.
            is_file: accepted; a dataset of one file arrives as that file's path anyway.

        Raises:
            UserErrorException: no path, or one of another kind.
        """
        places, workspace = _places(path, "Dataset.File.from_files")
        source = Files(places, partition_format=_checked_format(partition_format))
        return FileDataset(source, workspace=workspace, folder=_folder(places))

    @staticmethod
    def upload_directory(
        src_dir: str,
        target: Any,
        pattern: Optional[str] = None,
        overwrite: bool = False,
        show_progress: bool = True,
    ) -> FileDataset:
        """Copies a local folder into a datastore and returns it as a dataset.

        Args:
            target: a ``DataPath``, ``(datastore, path)`` or datastore.
            pattern: only files that match this glob.

        Raises:
            UserErrorException: there is no such folder, or no file matches.
        """
        from airflow_aml.definition.data.writing import upload_directory

        return upload_directory(src_dir, target, pattern, overwrite, show_progress)


class TabularDatasetFactory:
    """``Dataset.Tabular``."""

    @staticmethod
    def from_delimited_files(
        path: DatasetPaths,
        validate: bool = True,
        include_path: bool = False,
        infer_column_types: bool = True,
        set_column_types: Types = None,
        separator: str = ",",
        header: Any = True,
        partition_format: Optional[str] = None,
        support_multi_line: bool = False,
        empty_as_string: bool = False,
        encoding: str = "utf8",
    ) -> TabularDataset:
        """A tabular dataset from delimited files; paths as of ``Dataset.File.from_files``.

        Args:
            include_path: add each record's file as a column ``Path``.
            infer_column_types: look at the first rows for bool, long, float and datetime; else all
                columns are texts.
            set_column_types: ``{'age': DataType.to_long()}``; wins over what is inferred.
            header: True, False or a ``PromoteHeadersBehavior``.
            support_multi_line: accepted; quoted line breaks are always read right.
            empty_as_string: empty fields are empty texts, not missing values.

        Raises:
            UserErrorException: no path, or a setting that cannot be.
        """
        if not isinstance(separator, str) or not separator:
            raise UserErrorException(f"separator must be a text, not {separator!r}.")
        options = _options(
            include_path=(include_path, False),
            infer=(infer_column_types, True),
            types=(column_types(set_column_types), {}),
            separator=(separator, ","),
            header=(header_word(header), "same"),
            partition_format=(_checked_format(partition_format), None),
            empty_as_string=(empty_as_string, False),
            encoding=(encoding, "utf8"),
        )
        return _table("from_delimited_files", path, Reading("delimited", options))

    @staticmethod
    def from_parquet_files(
        path: DatasetPaths,
        validate: bool = True,
        include_path: bool = False,
        set_column_types: Types = None,
        partition_format: Optional[str] = None,
    ) -> TabularDataset:
        """A tabular dataset from Parquet files."""
        options = _options(
            include_path=(include_path, False),
            types=(column_types(set_column_types), {}),
            partition_format=(_checked_format(partition_format), None),
        )
        return _table("from_parquet_files", path, Reading("parquet", options))

    @staticmethod
    def from_json_lines_files(
        path: DatasetPaths,
        validate: bool = True,
        include_path: bool = False,
        set_column_types: Types = None,
        partition_format: Optional[str] = None,
        invalid_lines: str = "error",
        encoding: str = "utf8",
    ) -> TabularDataset:
        """A tabular dataset from files with a JSON object in each line.

        Args:
            invalid_lines: ``error`` or ``drop``.
        """
        if invalid_lines not in ("error", "drop"):
            raise UserErrorException(
                f"invalid_lines must be 'error' or 'drop', not {invalid_lines!r}."
            )
        options = _options(
            include_path=(include_path, False),
            types=(column_types(set_column_types), {}),
            partition_format=(_checked_format(partition_format), None),
            invalid_lines=(invalid_lines, "error"),
            encoding=(encoding, "utf8"),
        )
        return _table("from_json_lines_files", path, Reading("json_lines", options))

    @staticmethod
    def from_sql_query(
        query: Any,
        validate: bool = True,
        set_column_types: Types = None,
        query_timeout: int = 30,
    ) -> TabularDataset:
        """A tabular dataset from a query to a database; it runs when the data is read.

        Args:
            query: ``(datastore, 'SELECT ...')``, or a ``DataPath`` whose path is the query.
            query_timeout: in seconds.

        Raises:
            UserErrorException: it is neither.
        """
        if not isinstance(query, tuple) or len(query) != 2 or not isinstance(query[1], str):
            raise UserErrorException(
                f"query must be (datastore, 'SELECT ...'), not {query!r}.",
            )
        store = query[0]
        name = datastore_name(store)
        workspace = store.workspace if isinstance(store, Datastore) else None
        types = column_types(set_column_types)
        return TabularDataset(Query(name, query[1], int(query_timeout), types), workspace=workspace)

    @staticmethod
    def register_pandas_dataframe(
        dataframe: Any,
        target: Any,
        name: str,
        description: Optional[str] = None,
        tags: Optional[Mapping[str, str]] = None,
        show_progress: bool = True,
        row_group_size: Optional[int] = None,
        make_target_path_unique: bool = True,
    ) -> TabularDataset:
        """Writes a DataFrame as Parquet into a datastore and registers it.

        Args:
            target: a datastore, ``DataPath`` or ``(datastore, path)``.
            make_target_path_unique: write into a folder of its own below the target.
        """
        from airflow_aml.definition.data.writing import register_frame

        refuse_while_loading("Dataset.Tabular.register_pandas_dataframe")
        return register_frame(
            dataframe,
            target,
            name,
            description,
            tags,
            show_progress,
            row_group_size,
            make_target_path_unique,
        )

    @staticmethod
    def register_spark_dataframe(*_: Any, **__: Any) -> TabularDataset:
        """Not served."""
        raise NotServedError(
            "Spark DataFrames are not served.", hint="Write Parquet and use from_parquet_files."
        )

    @staticmethod
    def register_dask_dataframe(*_: Any, **__: Any) -> TabularDataset:
        """Not served."""
        raise NotServedError(
            "Dask DataFrames are not served.", hint="Write Parquet and use from_parquet_files."
        )


def _options(**values: Tuple[Any, Any]) -> Dict[str, Any]:
    """What differs from its default."""
    return {name: value for name, (value, default) in values.items() if value != default}


def _table(call: str, path: Any, reading: Reading) -> TabularDataset:
    places, workspace = _places(path, f"Dataset.Tabular.{call}")
    return TabularDataset(Table(places, reading), workspace=workspace, folder=_folder(places))


def _checked_format(text: Optional[str]) -> Optional[str]:
    if text is not None:
        PartitionFormat(text)
    return text


def _folder(places: Tuple[DataPlace, ...]) -> Optional[str]:
    """Where relative paths start; only asked for where there are some."""
    if any(isinstance(each, LocalPath) and not os.path.isabs(each.path) for each in places):
        from airflow_aml.definition.engine import declaring_engine

        path = getattr(declaring_engine(), "path", None)
        return defining_folder(path if isinstance(path, str) else None)
    return None


_STORES = (Datastore, OutputStore)


def _places(path: Any, call: str) -> Tuple[Tuple[DataPlace, ...], Any]:
    """The places that an author's paths name, and the workspace of the first datastore."""
    items = _as_list(path)
    if not items:
        raise UserErrorException(f"{call} needs at least one path.")
    workspace = None
    for item in items:
        store = item[0] if isinstance(item, tuple) else getattr(item, "datastore", None)
        workspace = workspace or getattr(store, "workspace", None)
    return tuple(source_place(item) for item in items), workspace


def _as_list(path: Any) -> List[Any]:
    if isinstance(path, tuple) and len(path) == 2 and isinstance(path[0], _STORES):
        return [path]
    if isinstance(path, tuple) and any(isinstance(each, _STORES) for each in path):
        raise _no_pair(path)
    if isinstance(path, (list, tuple)):
        return list(path)
    return [path]


def source_place(item: Any) -> DataPlace:
    """The place that one of an author's paths names.

    Raises:
        UserErrorException: it is no path.
    """
    if isinstance(item, tuple):
        if len(item) != 2 or not isinstance(item[1], str):
            raise _no_pair(item)
        if isinstance(item[0], OutputStore):
            return item[0].place_of(relative_path(item[1]))
        return StoredPath(datastore_name(item[0]), relative_path(item[1]))
    if isinstance(item, DataPath):
        return StoredPath(item.reference, item.path_on_datastore)
    if isinstance(item, DataReference):
        return item.source.paths[0]
    if isinstance(item, Datastore):
        return StoredPath(item.reference, "")
    if isinstance(item, (str, os.PathLike)):
        return _text_place(os.fspath(item))
    raise UserErrorException(
        f"a path must be a string, a (datastore, path) tuple or a DataPath, not {item!r}."
    )


def _no_pair(item: Tuple[Any, ...]) -> UserErrorException:
    return UserErrorException(
        f"a path in a datastore must be a (datastore, path) tuple, not {item!r}.",
        hint="Of several paths each is a tuple, in a list: [(datastore, 'a'), (datastore, 'b')].",
    )


def _text_place(text: str) -> DataPlace:
    scheme, separator, rest = text.partition("://")
    if separator and scheme == "file":
        from urllib.parse import unquote

        return LocalPath(unquote(rest))
    if separator and scheme in _URL_SCHEMES:
        return WebPath(text)
    if separator:
        raise NotServedError(
            f"{scheme}:// paths are not read without a datastore: {text}",
            hint="Register the container as a datastore and name the path as (datastore, path).",
        )
    if not text:
        raise UserErrorException("an empty path is not a path.")
    return LocalPath(text)
