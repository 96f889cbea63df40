"""What a program writes as data: uploaded folders, registered DataFrames, partitioned tables."""

from __future__ import annotations

import os
import tempfile
from typing import TYPE_CHECKING, Any, Iterator, List, Mapping, Optional, Sequence, Tuple

from airflow_aml.definition.data.transfers import (
    Progress,
    absolute,
    folder_pairs,
    upload,
)
from airflow_aml.definition.datareference import DataPath
from airflow_aml.definition.datastore import Datastore
from airflow_aml.definition.homes import home_of
from airflow_aml.definition.setup import UPLOAD_FOLDER, declare
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.datastores import open_datastore

if TYPE_CHECKING:
    from airflow_aml.definition.filedataset import FileDataset
    from airflow_aml.definition.tabular import TabularDataset


def target_of(target: Any) -> Tuple[Datastore, str]:
    """The datastore and path of ``target=``.

    Raises:
        UserErrorException: it is neither a DataPath nor (datastore, path) nor a datastore.
    """
    from airflow_aml.definition.datastore import relative_path

    if isinstance(target, Datastore):
        return target, ""
    if isinstance(target, DataPath):
        return target.datastore or Datastore(None, target.reference), target.path_on_datastore
    if isinstance(target, tuple) and len(target) == 2:
        store = target[0] if isinstance(target[0], Datastore) else Datastore(None, target[0])
        return store, relative_path(target[1] or "")
    raise UserErrorException(
        f"target must be a DataPath, a (datastore, path) tuple or a datastore, not {target!r}."
    )


def upload_directory(
    src_dir: str, target: Any, pattern: Optional[str], overwrite: bool, show_progress: bool
) -> FileDataset:
    """Uploads a folder, or declares it; returns it as a dataset."""
    from airflow_aml.definition.factories import FileDatasetFactory

    store, path = target_of(target)
    arguments = {
        "datastore": store.reference,
        "folder": os.fspath(src_dir),
        "target": path,
        "overwrite": overwrite,
        "pattern": pattern,
    }
    if not declare(UPLOAD_FOLDER, arguments):
        progress = Progress("Upload", show_progress)
        progress.say("Validating arguments.")
        pairs = matching_pairs(folder_pairs(absolute(src_dir), path), path, pattern)
        progress.say("Arguments validated.")
        progress.say(f"Uploading file to {path or '/'}")
        upload(
            open_datastore(home_of(store.workspace), store.reference), pairs, overwrite, progress
        )
        progress.say("Creating new dataset")
    return FileDatasetFactory.from_files((store, path))


def matching_pairs(
    pairs: List[Tuple[str, str]], target: str, pattern: Optional[str]
) -> List[Tuple[str, str]]:
    """The pairs whose path below the target matches a glob.

    Raises:
        UserErrorException: none does.
    """
    from airflow_aml.definition.data.files import pattern_of

    if not pattern:
        return pairs
    wanted = pattern_of(pattern)
    start = len(target) + 1 if target else 0
    kept = [pair for pair in pairs if wanted.match(pair[1][start:])]
    if not kept:
        raise UserErrorException(f"no file of the folder matches the pattern {pattern!r}.")
    return kept


def register_frame(
    frame: Any,
    target: Any,
    name: str,
    description: Optional[str],
    tags: Optional[Mapping[str, str]],
    show_progress: bool,
    row_group_size: Optional[int],
    unique: bool,
) -> TabularDataset:
    """Writes a DataFrame into a datastore and registers it."""
    from airflow_aml.definition.factories import TabularDatasetFactory

    progress = Progress("Upload", show_progress)
    progress.say("Validating arguments.")
    if not hasattr(frame, "to_parquet"):
        raise UserErrorException(f"dataframe must be a pandas DataFrame, not {type(frame)}.")
    store, path = target_of(target)
    progress.say("Arguments validated.")
    progress.say("Successfully obtained datastore reference and path.")
    if unique:
        from uuid import uuid4

        path = f"{path}/{uuid4()}".lstrip("/")
    progress.say(f"Uploading file to {path}")
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, "data.parquet")
        _write_parquet(frame, local, row_group_size)
        place = f"{path}/{_file_of(name)}.parquet".lstrip("/")
        open_datastore(home_of(store.workspace), store.reference).upload([(local, place)])
    progress.say("Successfully uploaded file to datastore.")
    progress.say("Creating and registering a new dataset.")
    made = TabularDatasetFactory.from_parquet_files((store, place))
    done = made.register(store.workspace, name, description, tags, create_new_version=True)
    progress.say("Successfully created and registered a new dataset.")
    return done


def _file_of(name: str) -> str:
    from airflow_aml.workspace.names import file_name

    return file_name(name)


def _write_parquet(frame: Any, path: str, row_group_size: Optional[int] = None) -> None:
    options = {} if row_group_size is None else {"row_group_size": row_group_size}
    try:
        frame.to_parquet(path, index=False, **options)
    except ImportError as error:
        raise UserErrorException(
            f"writing Parquet needs pyarrow in this interpreter: {' '.join(str(error).split())}",
            hint="pip install pyarrow",
        ) from error


def write_partitions(
    dataset: TabularDataset,
    keys: Sequence[str],
    target: Any,
    name: Optional[str],
    show_progress: bool,
    as_files: bool,
) -> Any:
    """Writes a table as Parquet, one folder for each value of each key."""
    from airflow_aml.definition.factories import FileDatasetFactory, TabularDatasetFactory

    store, path = target_of(target)
    frame = dataset.to_pandas_dataframe()
    missing = [key for key in keys if key not in frame.columns]
    if missing:
        raise UserErrorException(f"the dataset has no column {missing[0]!r} to partition by.")
    with tempfile.TemporaryDirectory() as folder:
        for values, part in _groups(frame, keys):
            place = os.path.join(folder, *values)
            os.makedirs(place, exist_ok=True)
            _write_parquet(part, os.path.join(place, "data.parquet"))
        pairs = folder_pairs(folder, path)
        home = home_of(store.workspace)
        upload(
            open_datastore(home, store.reference), pairs, True, Progress("Upload", show_progress)
        )
    shape = "/".join(f"{{{key}}}" for key in keys) + "/data.parquet"
    pattern = "/".join(["*"] * len(keys)) + "/data.parquet"
    where = (store, f"{path}/{pattern}".lstrip("/"))
    made: Any = (
        FileDatasetFactory.from_files(where, partition_format=shape)
        if as_files
        else TabularDatasetFactory.from_parquet_files(where, partition_format=shape)
    )
    if name:
        return made.register(store.workspace, name, create_new_version=True)
    return made


def _groups(frame: Any, keys: Sequence[str]) -> Iterator[Tuple[List[str], Any]]:
    from urllib.parse import quote

    for values, part in frame.groupby(list(keys), sort=True, dropna=False):
        listed = values if isinstance(values, tuple) else (values,)
        # A value may hold what no folder's name may, or a dot, which ends it in a partition_format.
        names = [quote(str(each), safe=" ").replace(".", "%2E") or "%" for each in listed]
        yield names, part.drop(columns=list(keys))
