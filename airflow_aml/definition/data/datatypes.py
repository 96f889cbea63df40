"""v1's column types and header behaviours."""

from __future__ import annotations

from typing import Any, Dict, Mapping, Optional, Sequence, Union

from airflow_aml.errors import NotServedError, PipelineTypeError, UserErrorException


class DataType:
    """A type for ``set_column_types``; made by the ``to_*`` methods (reference 1.1)."""

    def __init__(self, document: Dict[str, Any]):
        self.document = document

    @staticmethod
    def to_string() -> DataType:
        """Text."""
        return DataType({"type": "string"})

    @staticmethod
    def to_long() -> DataType:
        """64-bit integers."""
        return DataType({"type": "long"})

    @staticmethod
    def to_float(decimal_mark: str = ".") -> DataType:
        """Floating-point numbers; ``decimal_mark`` is ``.`` or ``,``."""
        if decimal_mark not in (".", ","):
            raise UserErrorException(f"decimal_mark must be '.' or ',', not {decimal_mark!r}.")
        document = {"type": "float"}
        if decimal_mark != ".":
            document["decimal_mark"] = decimal_mark
        return DataType(document)

    @staticmethod
    def to_bool() -> DataType:
        """True and false, also as texts."""
        return DataType({"type": "bool"})

    @staticmethod
    def to_datetime(formats: Union[str, Sequence[str], None] = None) -> DataType:
        """Moments; ``formats`` are ``strptime`` patterns, tried in order; guessed when None."""
        document: Dict[str, Any] = {"type": "datetime"}
        if formats:
            document["formats"] = [formats] if isinstance(formats, str) else list(formats)
        return DataType(document)

    @staticmethod
    def to_stream(workspace: Any, escaped: bool = False) -> DataType:
        """Not served: streams need v1's data engine.

        Raises:
            NotServedError: always.
        """
        raise NotServedError("DataType.to_stream is not served: use a file dataset for files.")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DataType) and other.document == self.document

    def __hash__(self) -> int:
        return hash(str(self.document))

    def __repr__(self) -> str:
        return f"DataType({self.document['type']})"


def column_types(value: Any) -> Dict[str, Any]:
    """``set_column_types`` as data.

    Raises:
        PipelineTypeError: it is not a dict of column names and DataTypes.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise PipelineTypeError(f"set_column_types must be a dict, not {type(value).__name__}.")
    result = {}
    for name, kind in value.items():
        if not isinstance(name, str) or not isinstance(kind, DataType):
            raise PipelineTypeError(
                f"set_column_types must map column names to DataTypes, not {name!r} to {kind!r}.",
                hint="For example {'age': DataType.to_long()}.",
            )
        result[name] = dict(kind.document)
    return result


class PromoteHeadersBehavior:
    """What the first lines of several files are (v1's ``header=``)."""

    NO_HEADERS = 0
    ONLY_FIRST_FILE_HAS_HEADERS = 1
    COMBINE_ALL_FILES_HEADERS = 2
    ALL_FILES_HAVE_SAME_HEADERS = 3


_HEADERS = ("none", "first", "combine", "same")


def header_word(value: Any) -> str:
    """``header=`` as one of ``none``, ``first``, ``combine``, ``same``.

    Raises:
        UserErrorException: it is none of v1's values.
    """
    number: Optional[int] = None
    if isinstance(value, bool):
        number = 3 if value else 0
    elif isinstance(value, int):
        number = value
    elif value is None:
        number = 3
    elif isinstance(getattr(value, "value", None), int):  # an enum of v1's
        number = value.value
    if number is None or not 0 <= number < len(_HEADERS):
        raise UserErrorException(
            f"header must be True, False or a PromoteHeadersBehavior, not {value!r}."
        )
    return _HEADERS[number]
