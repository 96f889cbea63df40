"""``AmlDagBundle``: v1 programs and pipelines in YAML in a folder, and what is published in
workspaces, become DAGs (architecture 7).

The bundle's own folder has one small file for each program, a shim, which Airflow parses in the
program's place. So each program has its own DAGs and its own import error.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from airflow import settings
from airflow.dag_processing.bundles.base import BaseDagBundle
from airflow.dag_processing.importers.base import AbstractDagImporter
from airflow.dag_processing.importers.python_importer import PythonDagImporter

from airflow_aml.airflow.published import refresh
from airflow_aml.airflow.settings import open_workspace
from airflow_aml.definition.homes import DEFAULT_WORKSPACE
from airflow_aml.definition.loading import PIPELINE_YAML, YAML
from airflow_aml.definition.programs import is_program

_INDEX = ".programs.json"
_PUBLISHED = "aml-published"
_SETTING = ""
"""Stands among the index' paths for what the shims were written with."""

_SHIM = """\
# Written by AmlDagBundle: Airflow makes each dag of the program below from here.
from airflow_aml.airflow.shim import declare

declare({program!r}, {root!r}, {start_in!r}, __name__)

# {program}
#
{source}
"""

Seen = dict[str, list[Any]]
"""Relative path -> modification time and size of a file, and whether it is a program."""


class _Files(PythonDagImporter):
    """Lists what Airflow would list, and YAML."""

    @classmethod
    def supported_extensions(cls) -> list[str]:
        return [".py", *YAML]

    def list_dag_files(
        self, directory: str | os.PathLike[str], safe_mode: bool = False
    ) -> Iterator[str]:
        return AbstractDagImporter.list_dag_files(self, directory, safe_mode)


class AmlDagBundle(BaseDagBundle):
    """The v1 programs and the files ``NAME.pipeline.yaml`` of a folder, and published pipelines.

    The folder may be the DAGs folder itself.

    Args:
        path: the folder; Airflow's DAGs folder by default.
        start_in: where programs are started, relative to that folder: what their relative paths
            start at. By default each in its own folder.
        published: names of the workspaces whose published pipelines are DAGs.
    """

    supports_versioning = False

    def __init__(
        self,
        *,
        path: str | None = None,
        start_in: str | None = None,
        published: Sequence[str] = (DEFAULT_WORKSPACE,),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._published = tuple(published)
        self._source = Path(path or settings.DAGS_FOLDER).absolute()
        self._start_in = None if start_in is None else (self._source / start_in).resolve()

    @property
    def path(self) -> Path:
        """The folder of the shims."""
        return self.base_dir / "shims"

    def initialize(self) -> None:
        """Writes the shims, so that a worker has them as well."""
        self.refresh()
        super().initialize()

    def get_current_version(self) -> None:
        """None: programs are taken as they are."""
        return

    def refresh(self) -> None:
        """Brings the shims up to date; a file that has not changed is not read."""
        with self.lock():
            self.path.mkdir(parents=True, exist_ok=True)
            before, after = self._read_index(), self._look()
            settled = before.pop(_SETTING, None) == [str(self._start_in)]
            wanted = {name for name, seen in after.items() if seen[2]}
            for name in wanted:
                same = settled and before.get(name) == after[name]
                if not (same and self._shim(name).exists()):
                    self._write_shim(name)
            for name, seen in before.items():
                if seen[2] and name not in wanted:
                    self._shim(name).unlink(missing_ok=True)
            if before != after or not settled:
                index = {**after, _SETTING: [str(self._start_in)]}
                _write(self.path / _INDEX, json.dumps(index))
            for workspace in self._published:
                refresh(open_workspace(workspace), self.path / _PUBLISHED / workspace)

    def _look(self) -> Seen:
        before, found = self._read_index(), {}
        for file in _Files().list_dag_files(self._source):
            path = Path(file)
            try:
                status = path.stat()
                name = str(path.relative_to(self._source))
                stamp = [status.st_mtime_ns, status.st_size]
                if before.get(name, [])[:2] == stamp:
                    found[name] = before[name]
                else:
                    found[name] = [*stamp, _is_wanted(path)]
            except OSError:  # it goes just now, or is nobody's to read: the next look tells
                continue
        return found

    def _write_shim(self, name: str) -> None:
        program = self._source / name
        try:
            text = program.read_text(encoding="utf-8", errors="replace")
        except OSError:  # as in _look
            return
        shim = self._shim(name)
        shim.parent.mkdir(parents=True, exist_ok=True)
        lines = text.replace("\0", "").splitlines()  # the shim is Python, whatever the program is
        source = "\n".join(f"# {line}".rstrip() for line in lines)
        start_in = str(self._start_in or program.parent)
        text = _SHIM.format(
            program=str(program), root=str(self._source), start_in=start_in, source=source
        )
        _write(shim, text)

    def _shim(self, name: str) -> Path:
        return self.path / (name if name.endswith(".py") else f"{name}.py")

    def _read_index(self) -> Seen:
        try:
            index: Seen = json.loads((self.path / _INDEX).read_text(encoding="utf-8"))
        except (OSError, ValueError):  # none yet; what is damaged is made anew
            return {}
        return index


def _is_wanted(path: Path) -> bool:
    if path.suffix == ".py":
        return is_program(path.read_bytes())
    return path.name.endswith(PIPELINE_YAML)


def _write(path: Path, text: str) -> None:
    """Whole or not at all: Airflow may be reading."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)
