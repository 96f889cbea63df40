"""``partition_format``: columns that are read from the paths of files.

``"/sales/{Department}/{PartitionDate:yyyy/MM/dd}/data.csv"`` begins at any folder and goes to the
path's end. The one column with a date pattern becomes a moment, any other a text without dots.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Dict, List, Optional

from airflow_aml.errors import UserErrorException

if TYPE_CHECKING:
    from datetime import datetime

_COLUMN = re.compile(r"\{([^{}:]+)(?::([^{}]+))?\}")
_DATE_PARTS = ("yyyy", "MM", "dd", "HH", "mm", "ss")
_DATE_PART = re.compile("|".join(_DATE_PARTS))


class PartitionFormat:
    """A parsed ``partition_format``.

    Attributes:
        columns: names in their order.

    Raises:
        UserErrorException: it names no column, one twice, or a date that v1 refuses.
    """

    def __init__(self, text: str):
        if not isinstance(text, str):
            raise UserErrorException(f"partition_format must be a text, not {text!r}.")
        self.text = text
        self.columns: List[str] = []
        self._date: Optional[str] = None
        found = list(_COLUMN.finditer(text))
        if not found:
            raise UserErrorException(
                f"partition_format {text!r} names no column.",
                hint="Columns stand in braces: '{year:yyyy}/{store}/data.csv'.",
            )
        start = end = found[0].start()
        pattern = ""
        for match in found:
            pattern += _wild(text[end : match.start()])
            pattern += self._column(match.group(1).strip(), match.group(2))
            end = match.end()
        pattern += _wild(text[end:])
        folders, _, name = text[:start].lstrip("/").rpartition("/")
        prefix = _wild(f"{folders}/") if folders else ""
        self._pattern = re.compile(rf"(?:^|/){prefix}{_wild(name)}{pattern}$")
        self._after_folders = re.compile(rf"(?:^|/){_wild(name)}{pattern}$")

    def _column(self, name: str, date: Optional[str]) -> str:
        if name in self.columns:
            raise UserErrorException(f"partition_format {self.text!r} names {name!r} twice.")
        group = f"p{len(self.columns)}"
        self.columns.append(name)
        if not date:
            return rf"(?P<{group}>[^./\\]+)"
        if self._date is not None:
            raise UserErrorException(
                f"partition_format {self.text!r} has two dates, {self._date!r} and {name!r}.",
                hint="There can be one: '{day:yyyy/MM/dd}'. Others can be texts: '{month}'.",
            )
        self._date = name
        return f"(?P<{group}>{_date_pattern(date, self.text)})"

    def values(self, path: str, *, committed: bool = False) -> Dict[str, Any]:
        """The values that a path holds.

        Args:
            committed: the path is that of an output's immutable copy, which has none of the folders
                that the author knows before the first column.

        Raises:
            UserErrorException: the path has another form.
        """
        from urllib.parse import unquote

        match = (self._after_folders if committed else self._pattern).search(path)
        if match is None:
            raise UserErrorException(
                f"the path {path!r} does not fit the partition_format {self.text!r}.",
                hint="It goes to the path's end, and a column's value holds no dot or slash.",
            )
        result: Dict[str, Any] = {}
        for number, name in enumerate(self.columns):
            text = match.group(f"p{number}")
            result[name] = _moment(match, text, path) if name == self._date else unquote(text)
        return result


def _moment(match: re.Match[str], text: str, path: str) -> datetime:
    from datetime import datetime

    found = match.groupdict()
    parts = [int(found.get(part, default)) for part, default in zip(_DATE_PARTS, "011000")]
    try:
        return datetime(*parts)  # type: ignore[arg-type]  # noqa: DTZ001 - paths name no zone
    except ValueError as error:
        raise UserErrorException(f"the path {path!r} holds no date at {text!r}.") from error


def _date_pattern(date: str, text: str) -> str:
    pattern = ""
    end = 0
    named: List[str] = []
    for match in _DATE_PART.finditer(date):
        part = match.group()
        # 2024/05/20240520: what is there twice counts where it is first.
        name = "" if part in named else f"?P<{part}>"
        named.append(part)
        pattern += re.escape(date[end : match.start()]) + rf"({name}\d{{{len(part)}}})"
        end = match.end()
    if not named:
        raise UserErrorException(
            f"{date!r} is no date pattern: it is made of yyyy, MM, dd, HH, mm and ss."
        )
    if "yyyy" not in named:
        raise UserErrorException(
            f"the date pattern {date!r} in the partition_format {text!r} has no 'yyyy'.",
            hint="A date needs its year. A month alone is a text: '{month}'.",
        )
    return pattern + re.escape(date[end:])


def _wild(text: str) -> str:
    """A literal text in which ``*`` stays inside a folder and ``**`` does not."""
    signs = {"*": "[^/]*", "**": ".*"}
    return "".join(signs.get(part) or re.escape(part) for part in re.split(r"(\*+)", text))
