"""Summary statistics of a table, column by column."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional

from airflow_aml.codec import encode

_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True)
class ColumnProfile:
    """What one column holds.

    Attributes:
        type: bool, long, float, datetime or string.
        count: of all records; ``missing`` of those without a value.
        unique: distinct values; None for columns whose values cannot be compared.
        min, max: also of texts and moments, as texts.
        quantiles: of numbers, by their share (``"0.5"`` is the median).
        top: the most frequent values of texts and bools, with how often they are there.
    """

    name: str
    type: str
    count: int
    missing: int
    unique: Optional[int] = None
    min: Any = None
    max: Any = None
    mean: Optional[float] = None
    std: Optional[float] = None
    quantiles: Dict[str, float] = field(default_factory=dict)
    top: Dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class DatasetProfile:
    """The profiles of all columns, in the table's order."""

    rows: int
    columns: Dict[str, ColumnProfile]

    def to_dict(self) -> Dict[str, Any]:
        """A JSON-ready dict."""
        result: Dict[str, Any] = encode(self)
        return result

    def __str__(self) -> str:
        lines = [f"{self.rows} rows"]
        for each in self.columns.values():
            said = [f"{each.name}: {each.type}", f"{each.missing} missing"]
            if each.min is not None:
                said.append(f"{each.min} to {each.max}")
            if each.mean is not None:
                said.append(f"mean {each.mean:g}")
            lines.append(", ".join(said))
        return "\n".join(lines)


def profile_of(frame: Any) -> DatasetProfile:
    """The profile of a DataFrame."""
    columns: List[ColumnProfile] = [_column(frame[name]) for name in frame.columns]
    return DatasetProfile(len(frame), {each.name: each for each in columns})


def type_of(series: Any) -> str:
    """v1's word for what a column holds."""
    kind = series.dtype.kind
    if kind == "O":
        values = series.dropna()
        return "bool" if len(values) and all(isinstance(v, bool) for v in values) else "string"
    return {"b": "bool", "i": "long", "u": "long", "f": "float", "M": "datetime"}.get(
        kind, "string"
    )


def _column(series: Any) -> ColumnProfile:
    kind = type_of(series)
    values = series.dropna()
    basic: Dict[str, Any] = {
        "name": str(series.name),
        "type": kind,
        "count": len(series),
        "missing": len(series) - len(values),
        "unique": _unique(values),
    }
    if not len(values):
        return ColumnProfile(**basic)
    if kind in ("long", "float"):
        quantiles = values.quantile(list(_QUANTILES))
        return ColumnProfile(
            **basic,
            min=values.min().item(),
            max=values.max().item(),
            mean=float(values.mean()),
            std=float(values.std()) if len(values) > 1 else None,
            quantiles={str(share): float(quantiles[share]) for share in _QUANTILES},
        )
    texts = values.astype(str)
    top = {str(key): int(count) for key, count in texts.value_counts().head(5).items()}
    return ColumnProfile(**basic, min=str(texts.min()), max=str(texts.max()), top=top)


def _unique(values: Any) -> Optional[int]:
    try:
        return int(values.nunique())
    except TypeError:  # lists and dicts, from JSON lines
        return None
