"""``partition_format``: columns that are read from the paths of files.

``"{Department}/{PartitionDate:yyyy/MM/dd}/data.csv"`` begins at the first column and goes to the
path's end. A column with a date pattern becomes a moment, any other a text.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Dict, List, Tuple

from airflow_aml.errors import UserErrorException

if TYPE_CHECKING:
    from datetime import datetime

_COLUMN = re.compile(r"\{([^{}:]+)(?::([^{}]+))?\}")
_DATE_PARTS = {
    "yyyy": ("%Y", r"\d{4}"),
    "MM": ("%m", r"\d{2}"),
    "dd": ("%d", r"\d{2}"),
    "HH": ("%H", r"\d{2}"),
    "mm": ("%M", r"\d{2}"),
    "ss": ("%S", r"\d{2}"),
}
_DATE_PART = re.compile("|".join(_DATE_PARTS))


class PartitionFormat:
    """A parsed ``partition_format``.

    Attributes:
        columns: names in their order.

    Raises:
        UserErrorException: it names no column, or one twice.
    """

    def __init__(self, text: str):
        if not isinstance(text, str):
            raise UserErrorException(f"partition_format must be a text, not {text!r}.")
        self.text = text
        self.columns: List[str] = []
        self._dates: Dict[str, str] = {}
        # The folders before the first column's are only there to be read by people.
        first = _COLUMN.search(text)
        if first is None:
            raise UserErrorException(
                f"partition_format {text!r} names no column.",
                hint="Columns stand in braces: '{year:yyyy}/{store}/data.csv'.",
            )
        pattern = _wild(text[: first.start()].rpartition("/")[2])
        end = first.start()
        for match in _COLUMN.finditer(text):
            pattern += re.escape(text[end : match.start()])
            pattern += self._column(match.group(1).strip(), match.group(2))
            end = match.end()
        self._pattern = re.compile(rf"(?:^|/){pattern}{_wild(text[end:])}$")

    def _column(self, name: str, date: Any) -> str:
        if name in self.columns:
            raise UserErrorException(f"partition_format {self.text!r} names {name!r} twice.")
        group = f"p{len(self.columns)}"
        self.columns.append(name)
        if not date:
            return f"(?P<{group}>[^/]+)"
        shape, regex = _date_pattern(date)
        self._dates[name] = shape
        return f"(?P<{group}>{regex})"

    def values(self, path: str) -> Dict[str, Any]:
        """The values that a path holds.

        Raises:
            UserErrorException: the path has another form.
        """
        from urllib.parse import unquote

        match = self._pattern.search(path)
        if match is None:
            raise UserErrorException(
                f"the path {path!r} does not fit the partition_format {self.text!r}."
            )
        result: Dict[str, Any] = {}
        for number, name in enumerate(self.columns):
            text = match.group(f"p{number}")
            shape = self._dates.get(name)
            result[name] = unquote(text) if shape is None else _moment(text, shape, path)
        return result


def _moment(text: str, shape: str, path: str) -> datetime:
    from datetime import datetime

    try:
        return datetime.strptime(text, shape)  # noqa: DTZ007 - paths name no zone
    except ValueError as error:
        raise UserErrorException(f"the path {path!r} holds no date at {text!r}.") from error


def _date_pattern(text: str) -> Tuple[str, str]:
    shape = regex = ""
    end = 0
    for match in _DATE_PART.finditer(text):
        literal = text[end : match.start()]
        directive, digits = _DATE_PARTS[match.group()]
        shape += literal.replace("%", "%%") + directive
        regex += re.escape(literal) + digits
        end = match.end()
    if not shape:
        raise UserErrorException(
            f"{text!r} is no date pattern: it is made of yyyy, MM, dd, HH, mm and ss."
        )
    return shape + text[end:].replace("%", "%%"), regex + re.escape(text[end:])


def _wild(text: str) -> str:
    return "[^/]*".join(re.escape(part) for part in text.split("*"))
