"""What differs between two datasets: definition, files, columns and rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from airflow_aml.codec import encode
from airflow_aml.errors import UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.abstract import AbstractDataset


@dataclass(frozen=True)
class DatasetDiff:
    """What the second dataset has and the first has not, and the reverse.

    Attributes:
        definition: the parts of the definitions that differ: name -> (this, other).
        files_added, files_removed, files_changed: names of files; changed ones have another size
            or version in their store.
        columns_added, columns_removed: of tables.
        columns_changed: column -> (type in this, type in the other).
        rows: (of this, of the other); None for files.
    """

    definition: Dict[str, Tuple[Any, Any]]
    files_added: Tuple[str, ...] = ()
    files_removed: Tuple[str, ...] = ()
    files_changed: Tuple[str, ...] = ()
    columns_added: Tuple[str, ...] = ()
    columns_removed: Tuple[str, ...] = ()
    columns_changed: Tuple[Tuple[str, str, str], ...] = ()
    rows: Tuple[int, ...] = ()

    def __bool__(self) -> bool:
        files = self.files_added or self.files_removed or self.files_changed
        columns = self.columns_added or self.columns_removed or self.columns_changed
        return bool(self.definition or files or columns or len(set(self.rows)) > 1)

    def __str__(self) -> str:
        lines: List[str] = []
        for name, (this, other) in self.definition.items():
            lines.append(f"{name}: {this!r} -> {other!r}")
        for sign, names in (
            ("+", (*self.files_added, *self.columns_added)),
            ("-", (*self.files_removed, *self.columns_removed)),
            ("~", self.files_changed),
        ):
            lines.extend(f"{sign} {name}" for name in names)
        lines.extend(f"~ {name}: {this} -> {other}" for name, this, other in self.columns_changed)
        if len(set(self.rows)) > 1:
            lines.append(f"rows: {self.rows[0]} -> {self.rows[1]}")
        return "\n".join(lines) or "no difference"


def compare(this: AbstractDataset, other: AbstractDataset) -> DatasetDiff:
    """What differs between two datasets of one kind.

    Raises:
        UserErrorException: they are of different kinds.
    """
    if this.is_tabular != other.is_tabular:
        raise UserErrorException("a file dataset and a tabular one cannot be compared.")
    first, second = encode(this.definition), encode(other.definition)
    changed = {
        name: (first.get(name), second.get(name))
        for name in sorted({*first, *second})
        if first.get(name) != second.get(name)
    }
    found: Dict[str, Any] = {}
    if "query" not in (first["kind"], second["kind"]):
        found.update(_files(this, other))
    if this.is_tabular:
        found.update(_columns(this, other))
    return DatasetDiff(changed, **found)


def _files(this: Any, other: Any) -> Dict[str, Any]:
    first = {each.relative: (each.size, each.version) for each in this._files()}  # noqa: SLF001
    second = {each.relative: (each.size, each.version) for each in other._files()}  # noqa: SLF001
    return {
        "files_added": tuple(sorted(second.keys() - first.keys())),
        "files_removed": tuple(sorted(first.keys() - second.keys())),
        "files_changed": tuple(
            sorted(name for name in first.keys() & second.keys() if first[name] != second[name])
        ),
    }


def _columns(this: Any, other: Any) -> Dict[str, Any]:
    from airflow_aml.definition.data.profile import type_of

    first, second = this.to_pandas_dataframe(), other.to_pandas_dataframe()
    before = {str(name): type_of(first[name]) for name in first.columns}
    after = {str(name): type_of(second[name]) for name in second.columns}
    return {
        "columns_added": tuple(name for name in after if name not in before),
        "columns_removed": tuple(name for name in before if name not in after),
        "columns_changed": tuple(
            (name, kind, after[name])
            for name, kind in before.items()
            if after.get(name, kind) != kind
        ),
        "rows": (len(first), len(second)),
    }
