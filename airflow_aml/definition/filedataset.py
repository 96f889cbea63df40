"""FileDataset: a set of files (reference 1.1)."""

from __future__ import annotations

import os
from typing import Any, List, Optional

from airflow_aml.definition.abstract import AbstractDataset
from airflow_aml.definition.consumption import DatasetConsumptionConfig
from airflow_aml.definition.data.expressions import Expression, column
from airflow_aml.definition.data.model import Files
from airflow_aml.definition.setup import refuse_while_loading
from airflow_aml.errors import UserErrorException


class FileDataset(AbstractDataset):
    """A set of files, named by paths; nothing is read until somebody needs it.

    Made by ``Dataset.File.from_files``.
    """

    def as_mount(self, path_on_compute: Optional[str] = None) -> DatasetConsumptionConfig:
        """The dataset as an input that the script sees as a path."""
        return DatasetConsumptionConfig(None, self, "mount", path_on_compute)

    def as_download(self, path_on_compute: Optional[str] = None) -> DatasetConsumptionConfig:
        """The dataset as an input that the script sees as a local path."""
        return DatasetConsumptionConfig(None, self, "download", path_on_compute)

    def to_path(self) -> List[str]:
        """The files' names in the dataset, as they appear below a mount point: ``/2018/a.csv``."""
        refuse_while_loading("FileDataset.to_path")
        return [f"/{each.relative}" for each in self._files()]

    def download(
        self,
        target_path: Optional[str] = None,
        overwrite: bool = False,
        ignore_not_found: bool = False,
    ) -> List[str]:
        """Copies the files to a local folder and returns their paths there.

        Args:
            target_path: a new temporary folder when None.
            overwrite: replace files that are there.
            ignore_not_found: return nothing where there are no files, instead of raising.

        Raises:
            UserErrorException: there are no such files, or a file is there already.
        """
        from tempfile import mkdtemp

        from airflow_aml.definition.data.places import fetch

        refuse_while_loading("FileDataset.download")
        folder = os.path.abspath(target_path) if target_path else mkdtemp()
        try:
            files = self._files()
        except UserErrorException:
            if ignore_not_found:
                return []
            raise
        for each in files:
            place = os.path.join(folder, each.relative)
            if os.path.exists(place) and not overwrite:
                raise UserErrorException(
                    f"the file {place} exists already.", hint="Give overwrite=True to replace it."
                )
        return fetch(files, folder, local_too=True)

    def mount(self, mount_point: Optional[str] = None) -> MountContext:
        """A context in which the files can be read below ``mount_point``.

        Files of this machine are linked, never copied; others are downloaded for as long.
        """
        refuse_while_loading("FileDataset.mount")
        return MountContext(self, mount_point)

    def file_metadata(self, col: str) -> Expression:
        """A property of the files for ``filter``: ``Size`` or ``Path``.

        Raises:
            UserErrorException: another one.
        """
        if col not in ("Size", "Path"):
            raise UserErrorException(f"file_metadata knows Size and Path, not {col!r}.")
        return column(col)

    def _partition_format(self) -> Optional[str]:
        definition = self.definition
        return definition.partition_format if isinstance(definition, Files) else None

    def __repr__(self) -> str:
        paths = getattr(self._definition or self.source, "paths", None)
        shown = ", ".join(path.path for path in paths) if paths else self.name
        return f"FileDataset({shown})"


class MountContext:
    """What ``FileDataset.mount`` returns: a context manager, or ``start()`` and ``stop()``."""

    def __init__(self, dataset: FileDataset, mount_point: Optional[str]):
        from tempfile import mkdtemp

        self._dataset = dataset
        self.mount_point = os.path.abspath(mount_point) if mount_point else mkdtemp()
        if not mount_point:
            os.rmdir(self.mount_point)

    def start(self) -> None:
        """Makes the files readable below :attr:`mount_point`.

        Raises:
            UserErrorException: there are no such files, or the place is taken.
        """
        from airflow_aml.definition.data.places import link_farm, single_folder

        files = self._dataset._files()  # noqa: SLF001 - its own other half
        if os.path.isdir(self.mount_point) and not os.listdir(self.mount_point):
            os.rmdir(self.mount_point)
        if os.path.lexists(self.mount_point):
            raise UserErrorException(f"the mount point {self.mount_point} is not an empty folder.")
        whole = single_folder(self._dataset.definition, files)
        os.makedirs(os.path.dirname(self.mount_point), exist_ok=True)
        if whole is not None and os.path.isdir(whole) and len(files) != 1:
            os.symlink(whole, self.mount_point)
            return
        os.makedirs(self.mount_point)
        link_farm(files, self.mount_point)

    def stop(self) -> None:
        """Takes the mount point away; the data stays where it is."""
        if os.path.islink(self.mount_point):
            os.unlink(self.mount_point)
        else:
            from shutil import rmtree

            rmtree(self.mount_point, ignore_errors=True)

    def __enter__(self) -> MountContext:
        self.start()
        return self

    def __exit__(self, *_: Any) -> None:
        self.stop()
