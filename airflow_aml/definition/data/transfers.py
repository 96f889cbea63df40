"""``Datastore.upload``, ``upload_files`` and ``download``, with what v1 prints."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Set, Tuple

from airflow_aml.definition.homes import home_of
from airflow_aml.definition.origin import defining_folder
from airflow_aml.definition.setup import UPLOAD_FILES, UPLOAD_FOLDER, declare
from airflow_aml.errors import UserErrorException
from airflow_aml.runtime.hidden import BELOW, note, seen
from airflow_aml.workspace.datastores import open_datastore
from airflow_aml.workspace.stores.base import Store
from airflow_aml.workspace.stores.progress import Report

if TYPE_CHECKING:
    from airflow_aml.definition.datareference import DataReference
    from airflow_aml.definition.datastore import Datastore

Pairs = List[Tuple[str, str]]

_NAMED_FILES = 100


def upload_folder(
    datastore: Datastore,
    folder: str,
    target_path: Optional[str],
    overwrite: bool,
    show_progress: bool,
) -> DataReference:
    """Uploads a folder, or declares it."""
    target = _target(target_path)
    arguments = {
        "datastore": datastore.reference,
        "folder": _text(folder, "src_dir"),
        "target": target,
        "overwrite": overwrite,
    }
    if not declare(UPLOAD_FOLDER, arguments):
        pairs = folder_pairs(absolute(folder), target)
        upload(_store(datastore), pairs, overwrite, Progress("Upload", show_progress))
    return datastore.path(target or None)


def upload_files(
    datastore: Datastore,
    files: Sequence[str],
    relative_root: Optional[str],
    target_path: Optional[str],
    overwrite: bool,
    show_progress: bool,
) -> DataReference:
    """Uploads files, or declares it."""
    target = _target(target_path)
    if isinstance(files, str) or not isinstance(files, (list, tuple)):
        raise UserErrorException(f"files must be a list of paths, not {files!r}.")
    arguments = {
        "datastore": datastore.reference,
        "files": [_text(each, "files") for each in files],
        "relative_root": relative_root,
        "target": target,
        "overwrite": overwrite,
    }
    if not declare(UPLOAD_FILES, arguments):
        pairs = file_pairs([absolute(each) for each in files], _root(relative_root), target)
        upload(_store(datastore), pairs, overwrite, Progress("Upload", show_progress))
    return datastore.path(target or None)


def download(
    datastore: Datastore,
    target_path: str,
    prefix: Optional[str],
    overwrite: bool,
    show_progress: bool,
) -> int:
    """Downloads what begins with a prefix; returns how many files were copied."""
    store = _store(datastore)
    folder = absolute(target_path)
    begins = (prefix or "").replace("\\", "/").lstrip("/")
    found = list(store.find(begins))
    there = {"seen": seen((each.path, each.size, each.version) for each in found)}
    note(BELOW, begins, None, there, datastore=datastore.reference)
    progress = Progress("Download", show_progress)
    pairs: Pairs = []
    for each in found:
        place = os.path.join(folder, each.path)
        if not overwrite and os.path.exists(place):
            progress.say(f"Target already exists. Skipping download for {place}")
        else:
            pairs.append((each.path, place))
    progress.start([path for path, _ in pairs])
    store.download(pairs, progress, skip_same=not overwrite)
    progress.end()
    return len(pairs)


def upload(store: Store, pairs: Pairs, overwrite: bool, progress: Progress) -> int:
    """Uploads (local, path) pairs; without ``overwrite`` what is there already is skipped."""
    if not overwrite:
        there = existing(store, [path for _, path in pairs])
        for _, path in pairs:
            if path in there:
                progress.say(f"Target already exists. Skipping upload for {path}")
        pairs = [pair for pair in pairs if pair[1] not in there]
    progress.start([local for local, _ in pairs])
    store.upload(pairs, progress, skip_same=not overwrite)
    progress.end()
    return len(pairs)


def existing(store: Store, paths: Sequence[str]) -> Set[str]:
    """Which of these paths are there already (and others of their folder), by one listing."""
    if not paths:
        return set()
    if len(paths) <= 3:
        return {path for path in paths if store.exists(path)}
    folders = [os.path.dirname(path) for path in paths]
    common = os.path.commonpath(folders) if all(folders) else ""
    return {each.path for each in store.find(f"{common}/" if common else "")}


def folder_pairs(folder: str, target: str) -> Pairs:
    """Every file of a local folder with its path in the datastore, sorted.

    Raises:
        UserErrorException: there is no such folder, or a name in it is not UTF-8.
    """
    if not os.path.isdir(folder):
        raise UserErrorException(f"there is no folder {folder}.")
    pairs: Pairs = []
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in sorted(files):
            local = os.path.join(parent, name)
            pairs.append((local, _joined(target, os.path.relpath(local, folder))))
    return pairs


def file_pairs(files: Sequence[str], root: Optional[str], target: str) -> Pairs:
    """Files with their paths in the datastore.

    Raises:
        UserErrorException: a file is not there, or not below the root.
    """
    if not files:
        return []
    for path in files:
        if not os.path.isfile(path):
            raise UserErrorException(f"there is no file {path}.")
    if root is None:
        root = os.path.commonpath([os.path.dirname(path) for path in files])
    pairs = []
    for path in files:
        relative = os.path.relpath(path, root)
        if relative.startswith(os.pardir + os.sep):
            raise UserErrorException(f"the file {path} is not below relative_root {root}.")
        pairs.append((path, _joined(target, relative)))
    return pairs


class Progress:
    """Tells about a transfer on standard output, in v1's words; of a long one, how fast it goes."""

    def __init__(self, verb: str, shown: bool = True):
        self._verb = verb
        self._shown = shown
        self._names: Sequence[str] = ()
        self._report: Optional[Report] = None

    def say(self, text: str) -> None:
        """One line."""
        if self._shown:
            sys.stdout.write(f"{text}\n")
            sys.stdout.flush()

    def start(self, names: Sequence[str]) -> None:
        """The transfer of these files begins."""
        self._names = names
        self._report = Report(f"{self._verb}ing", self.say, len(names), every=5.0)
        self.say(f"{self._verb}ing an estimated of {len(names)} files")
        if len(names) <= _NAMED_FILES:
            for name in names:
                self.say(f"{self._verb}ing {name}")

    def __call__(self, files: int, size: int) -> None:
        """So many more files and bytes are done."""
        if self._report is not None:
            self._report(files, size)

    def end(self) -> None:
        """The transfer is over."""
        total = len(self._names)
        if self._report is not None:
            self._report.end()
        if total <= _NAMED_FILES:
            for number, name in enumerate(self._names, 1):
                self.say(
                    f"{self._verb}ed {name}, {number} files out of an estimated total of {total}"
                )
        self.say(f"{self._verb}ed {total} files")


def absolute(path: Any) -> str:
    """A local path, absolute: relative ones start at the defining file's folder."""
    text = os.path.expanduser(os.fspath(path))
    return os.path.normpath(os.path.join(defining_folder(), text))


def _root(relative_root: Optional[str]) -> Optional[str]:
    return None if relative_root is None else absolute(relative_root)


def _joined(target: str, relative: str) -> str:
    try:
        relative.encode()
    except UnicodeEncodeError:
        raise UserErrorException(f"the file name {relative!r} is not UTF-8.") from None
    path = relative.replace(os.sep, "/")
    return f"{target}/{path}" if target else path


def _target(path: Optional[str]) -> str:
    from airflow_aml.definition.datastore import relative_path

    return relative_path(path or "")


def _text(value: Any, name: str) -> str:
    if not isinstance(value, (str, os.PathLike)):
        raise UserErrorException(f"{name} must hold paths, not {value!r}.")
    return os.fspath(value)


def _store(datastore: Datastore) -> Store:
    return open_datastore(home_of(datastore.workspace), datastore.reference)
