"""A store in this process's memory, for tests: fsspec's ``memory://``."""

from __future__ import annotations

import hashlib
import os
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from airflow_aml.workspace.documents import temporary_name
from airflow_aml.workspace.stores.base import Progress, StoredFile
from airflow_aml.workspace.stores.paths import checked, checked_folder, checked_prefix


class MemoryStore:
    """Files that ``fsspec.open("memory://...")`` sees too, in this process alone."""

    local_root: Optional[str] = None

    def __init__(self, path: str) -> None:
        import fsspec

        self._fs: Any = fsspec.filesystem("memory")
        self._root = f"/{path.strip('/')}/" if path.strip("/") else "/"
        self.url = f"memory:/{self._root}".rstrip("/")

    def __repr__(self) -> str:
        return f"MemoryStore({self.url!r})"

    @property
    def _files(self) -> Dict[str, Any]:
        files: Dict[str, Any] = self._fs.store
        return files

    def read(self, path: str) -> bytes:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        file = self._files.get(self._key(path))
        if file is None:
            raise FileNotFoundError(f"{self.uri(path)} does not exist")
        data: bytes = file.getvalue()
        return data

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        self._files[self._key(path)] = self._file(path, data)

    def create(self, path: str, data: bytes, *, durable: bool = True) -> bool:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        file = self._file(path, data)
        # One operation of the dictionary: fsspec's own exclusive mode looks, then writes.
        return self._files.setdefault(self._key(path), file) is file

    def exists(self, path: str) -> bool:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        key = self._root + checked_prefix(path, self.url)
        if path and not path.endswith("/"):
            return key in self._files
        return any(each.startswith(key) for each in tuple(self._files))

    def find(self, prefix: str = "") -> Iterator[StoredFile]:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        key = self._root + checked_prefix(prefix, self.url)
        start = len(self._root)
        found = []
        for name, file in sorted(self._files.copy().items(), key=lambda each: each[0]):
            if name.startswith(key):
                md5 = hashlib.md5(file.getvalue()).hexdigest()  # noqa: S324 - as object stores do
                found.append(StoredFile(name[start:], file.size, md5, md5))
        return iter(found)

    def children(self, prefix: str = "") -> List[str]:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        key = self._root + checked_folder(prefix, self.url)
        below = (each[len(key) :] for each in tuple(self._files) if each.startswith(key))
        return sorted({name + slash for name, slash, _ in (each.partition("/") for each in below)})

    def upload(
        self,
        pairs: Sequence[Tuple[str, str]],
        progress: Optional[Progress] = None,
        *,
        skip_same: bool = True,
    ) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        for source, path in pairs:
            with open(source, "rb") as stream:
                data = stream.read()
            self.write(path, data)
            if progress is not None:
                progress(1, len(data))

    def download(
        self,
        pairs: Sequence[Tuple[str, str]],
        progress: Optional[Progress] = None,
        *,
        skip_same: bool = True,
    ) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        for path, target in pairs:
            data = self.read(path)
            os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)
            temporary = temporary_name(target)
            with open(temporary, "wb") as stream:
                stream.write(data)
            os.replace(temporary, target)
            if progress is not None:
                progress(1, len(data))

    def delete(self, paths: Sequence[str]) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        for path in paths:
            self._files.pop(self._key(path), None)

    def uri(self, path: str = "") -> str:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        return f"{self.url}/{checked(path, self.url)}" if path else self.url

    def _key(self, path: str) -> str:
        return self._root + checked(path, self.url)

    def _file(self, path: str, data: bytes) -> Any:
        from fsspec.implementations.memory import MemoryFile

        return MemoryFile(self._fs, self._key(path), data)
