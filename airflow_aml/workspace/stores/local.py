"""A store in a folder of this machine."""

from __future__ import annotations

import os
from typing import Callable, Iterator, List, Optional, Sequence, Tuple, TypeVar

from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace.documents import (
    create_bytes,
    is_temporary,
    temporary_name,
    write_bytes,
)
from airflow_aml.workspace.stores.base import Progress, StoredFile
from airflow_aml.workspace.stores.paths import checked, checked_folder, checked_prefix
from airflow_aml.workspace.uris import uri_of_path

_T = TypeVar("_T")
_WORKERS = 8
_TRIES = 5
_BUFFER_SIZE = 1 << 20
_PART_SIZE = 1 << 16


class LocalStore:
    """A folder, which need not exist before something is written.

    Folders exist as far as there are files in them: an empty one is not listed, and what deletes
    the last file of a folder removes the folder.
    """

    def __init__(self, root: str) -> None:
        self._root = os.path.abspath(root)
        self.local_root: Optional[str] = self._root
        self.url = uri_of_path(self._root)

    def __repr__(self) -> str:
        return f"LocalStore({self.url!r})"

    def read(self, path: str) -> bytes:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        place = self._place(path)
        try:
            return _content(place)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            # Many only look whether something is there, so this has to be quick.
            raise FileNotFoundError(f"{self.url}/{path} does not exist") from None
        except OSError as error:
            raise self._trouble(error, path) from error

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        self._with_folder(path, lambda place: write_bytes(place, data, durable=durable))

    def create(self, path: str, data: bytes, *, durable: bool = True) -> bool:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        return self._with_folder(path, lambda place: create_bytes(place, data, durable=durable))

    def exists(self, path: str) -> bool:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        checked_prefix(path, self.url)
        place = os.path.join(self._root, path)
        if path and not path.endswith("/"):
            return os.path.isfile(place)
        return _holds_a_file(place)

    def find(self, prefix: str = "") -> Iterator[StoredFile]:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        checked_prefix(prefix, self.url)
        for _ in range(_TRIES):
            try:
                return iter(self._find(prefix))
            except FileNotFoundError:  # noqa: PERF203 - a folder went while it was read
                continue
            except OSError as error:
                raise self._trouble(error, prefix) from error
        raise WorkspaceException(f"{prefix!r} keeps changing while it is listed.", where=self.url)

    def children(self, prefix: str = "") -> List[str]:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        folder = os.path.join(self._root, checked_folder(prefix, self.url))
        names = []
        try:
            with os.scandir(folder) as entries:
                for entry in entries:
                    if entry.is_dir():
                        if _holds_a_file(entry.path):
                            names.append(f"{entry.name}/")
                    elif not is_temporary(entry.name):
                        names.append(entry.name)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise self._trouble(error, prefix) from error
        return sorted(names)

    def upload(
        self,
        pairs: Sequence[Tuple[str, str]],
        progress: Optional[Progress] = None,
        *,
        skip_same: bool = True,
    ) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        places = [(source, self._place(path)) for source, path in pairs]
        self._copy_all(places, progress, skip_same)

    def download(
        self,
        pairs: Sequence[Tuple[str, str]],
        progress: Optional[Progress] = None,
        *,
        skip_same: bool = True,
    ) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        places = [(self._place(path), target) for path, target in pairs]
        self._copy_all(places, progress, skip_same)

    def delete(self, paths: Sequence[str]) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        folders = set()
        for path in paths:
            place = self._place(path)
            try:
                os.unlink(place)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError as error:
                raise self._trouble(error, path) from error
            folders.add(os.path.dirname(place))
        for folder in sorted(folders, key=len, reverse=True):
            self._prune(folder)

    def uri(self, path: str = "") -> str:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        return uri_of_path(self._place(path)) if path else self.url

    def _place(self, path: str) -> str:
        return os.path.join(self._root, checked(path, self.url))

    def _with_folder(self, path: str, act: Callable[[str], _T]) -> _T:
        """Acts in the path's folder, which is made when it is not there."""
        place = self._place(path)
        try:
            return _retried(place, act)
        except OSError as error:
            raise self._trouble(error, path) from error

    def _find(self, prefix: str) -> List[StoredFile]:
        from airflow_aml.workspace.tree import walk

        folder, _, start = prefix.rpartition("/")
        root = os.path.join(self._root, folder)
        if not os.path.isdir(root):
            return []
        above = f"{folder}/" if folder else ""

        def skip(relative: str, is_folder: bool, entry: os.DirEntry[bytes]) -> bool:
            if "/" not in relative and not relative.startswith(start):
                return True
            return not is_folder and is_temporary(relative.rpartition("/")[2])

        def problem(relative: str, wrong: str) -> None:
            if not wrong.startswith("is lost"):  # removed while the folder was read
                raise WorkspaceException(f"{above + relative!r} {wrong}.", where=self.url)

        return [
            StoredFile(
                above + each.relative,
                each.status.st_size,
                f"{each.status.st_size}-{each.status.st_mtime_ns}",
            )
            for each in walk(root, problem, skip)
        ]

    def _copy_all(
        self, places: Sequence[Tuple[str, str]], progress: Optional[Progress], skip_same: bool
    ) -> None:
        from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

        def copy(pair: Tuple[str, str]) -> int:
            return _copy(pair[0], pair[1], skip_same)

        with ThreadPoolExecutor(min(_WORKERS, max(1, len(places)))) as pool:
            running = {pool.submit(copy, pair): pair for pair in places}
            pending = set(running)
            try:
                while pending:
                    done, pending = wait(pending, 0.2, FIRST_EXCEPTION)
                    for each in done:
                        self._raise_from(each.exception(), running[each])
                    if progress is not None and done:
                        progress(len(done), sum(each.result() for each in done))
            finally:
                for each in pending:
                    each.cancel()

    def _raise_from(self, error: Optional[BaseException], pair: Tuple[str, str]) -> None:
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(f"{pair[0]} does not exist") from None
        if isinstance(error, OSError):
            local = next((each for each in pair if not self._holds(each)), None)
            if local is not None and error.filename and not self._holds(error.filename):
                raise WorkspaceException(
                    f"the local {local} cannot be used: {error.strerror or error}."
                ) from error
            raise self._trouble(error, pair[0]) from error
        if error is not None:
            raise error

    def _holds(self, path: str) -> bool:
        return f"{os.path.abspath(path)}/".startswith(f"{self._root}/")

    def _prune(self, folder: str) -> None:
        """Removes the folder and those above it, as far as they are empty."""
        while len(folder) > len(self._root):
            try:
                os.rmdir(folder)
            except OSError:
                return
            folder = os.path.dirname(folder)

    def _trouble(self, error: OSError, path: str) -> WorkspaceException:
        return WorkspaceException(
            f"{path or 'the folder'} cannot be used: {error.strerror or error}.", where=self.url
        )


def _content(place: str) -> bytes:
    # Half the time that a file object takes, of which a listing of runs needs very many.
    descriptor = os.open(place, os.O_RDONLY)
    try:
        parts = [os.read(descriptor, _PART_SIZE)]
        while parts[-1]:
            parts.append(os.read(descriptor, _PART_SIZE))
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _retried(place: str, act: Callable[[str], _T]) -> _T:
    for _ in range(_TRIES):
        try:
            return act(place)
        except FileNotFoundError:  # noqa: PERF203 - once, nearly always
            # Somebody who deletes its last file may remove it again before the next try.
            os.makedirs(os.path.dirname(place), exist_ok=True)
    return act(place)


def _copy(source: str, target: str, skip_same: bool) -> int:
    import shutil

    size = os.stat(source).st_size
    if skip_same and _same_content(source, target, size):
        return size

    def copy(place: str) -> None:
        temporary = temporary_name(place)
        try:
            shutil.copyfile(source, temporary)
            os.replace(temporary, place)
        except BaseException:
            if os.path.lexists(temporary):
                os.unlink(temporary)
            raise

    _retried(target, copy)
    return size


def _same_content(source: str, target: str, size: int) -> bool:
    try:
        if os.stat(target).st_size != size:
            return False
        with open(source, "rb") as ours, open(target, "rb") as theirs:
            while True:
                data = ours.read(_BUFFER_SIZE)
                if data != theirs.read(_BUFFER_SIZE):
                    return False
                if not data:
                    return True
    except OSError:
        return False


def _holds_a_file(folder: str) -> bool:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if _holds_a_file(entry.path):
                        return True
                elif not is_temporary(entry.name):
                    return True
    except OSError:  # gone, or no folder
        return False
    return False
