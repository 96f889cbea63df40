"""A folder of a store as a store of its own, with the same credentials."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Iterator, List, Optional, Sequence, Tuple

from airflow_aml.workspace.stores.base import Progress, Store, StoredFile


class FolderStore:
    """Everything of ``store`` below ``folder``."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store = store
        self._prefix = f"{folder.strip('/')}/"
        self.url = store.uri(folder.strip("/"))
        root = store.local_root
        self.local_root: Optional[str] = root and os.path.join(root, folder.strip("/"))

    def __repr__(self) -> str:
        return f"FolderStore({self.url!r})"

    def read(self, path: str) -> bytes:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        return self._store.read(self._prefix + path)

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        self._store.write(self._prefix + path, data, durable=durable)

    def create(self, path: str, data: bytes, *, durable: bool = True) -> bool:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        return self._store.create(self._prefix + path, data, durable=durable)

    def exists(self, path: str) -> bool:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        return self._store.exists(self._prefix + path)

    def find(self, prefix: str = "") -> Iterator[StoredFile]:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        start = len(self._prefix)
        for each in self._store.find(self._prefix + prefix):
            yield replace(each, path=each.path[start:])

    def children(self, prefix: str = "") -> List[str]:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        return self._store.children(self._prefix + prefix)

    def upload(
        self,
        pairs: Sequence[Tuple[str, str]],
        progress: Optional[Progress] = None,
        *,
        skip_same: bool = True,
    ) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        inside = [(local, self._prefix + path) for local, path in pairs]
        self._store.upload(inside, progress, skip_same=skip_same)

    def download(
        self,
        pairs: Sequence[Tuple[str, str]],
        progress: Optional[Progress] = None,
        *,
        skip_same: bool = True,
    ) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        inside = [(self._prefix + path, local) for path, local in pairs]
        self._store.download(inside, progress, skip_same=skip_same)

    def delete(self, paths: Sequence[str]) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        self._store.delete([self._prefix + path for path in paths])

    def uri(self, path: str = "") -> str:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        return self._store.uri(self._prefix + path) if path else self.url
