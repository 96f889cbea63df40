"""Conditions on records, as v1 writes them: ``(ds["a"] > 3) & (ds["b"] == "x")``.

An expression is a JSON document, so that it can be recorded in a definition; nothing is compared
before data is read.
"""

from __future__ import annotations

import operator
from typing import Any, Callable, Dict, Mapping

from airflow_aml.errors import PipelineTypeError, UserErrorException

Document = Dict[str, Any]

_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    "&": operator.and_,
    "|": operator.or_,
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}


class Expression:
    """A condition, or a part of one. Made by ``dataset["column"]`` and operators."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self, document: Document):
        self.document = document

    def _with(self, sign: str, other: Any) -> Expression:
        return Expression({"op": sign, "left": self.document, "right": _operand(other)})

    def __gt__(self, other: Any) -> Expression:
        return self._with(">", other)

    def __ge__(self, other: Any) -> Expression:
        return self._with(">=", other)

    def __lt__(self, other: Any) -> Expression:
        return self._with("<", other)

    def __le__(self, other: Any) -> Expression:
        return self._with("<=", other)

    def __eq__(self, other: object) -> Expression:  # type: ignore[override]
        return self._with("==", other)

    def __ne__(self, other: object) -> Expression:  # type: ignore[override]
        return self._with("!=", other)

    def __and__(self, other: Any) -> Expression:
        return self._with("&", other)

    def __or__(self, other: Any) -> Expression:
        return self._with("|", other)

    def __add__(self, other: Any) -> Expression:
        return self._with("+", other)

    def __sub__(self, other: Any) -> Expression:
        return self._with("-", other)

    def __mul__(self, other: Any) -> Expression:
        return self._with("*", other)

    def __truediv__(self, other: Any) -> Expression:
        return self._with("/", other)

    def __floordiv__(self, other: Any) -> Expression:
        return self._with("//", other)

    def __mod__(self, other: Any) -> Expression:
        return self._with("%", other)

    def __invert__(self) -> Expression:
        return Expression({"op": "not", "left": self.document})

    def __bool__(self) -> bool:
        raise PipelineTypeError(
            "a condition on a dataset is neither true nor false before data is read.",
            hint="Join conditions with & and |, not with `and` and `or`.",
        )

    def is_null(self) -> Expression:
        """True where the value is missing."""
        return Expression({"op": "is_null", "left": self.document})

    def starts_with(self, text: str) -> Expression:
        """True where the text starts so."""
        return self._with("starts_with", text)

    def ends_with(self, text: str) -> Expression:
        """True where the text ends so."""
        return self._with("ends_with", text)

    def contains(self, text: str) -> Expression:
        """True where the text holds ``text``."""
        return self._with("contains", text)

    def __repr__(self) -> str:
        return text_of(self.document)


def column(name: object) -> Expression:
    """The values of a column.

    Raises:
        PipelineTypeError: the name is not a text.
    """
    if not isinstance(name, str):
        raise PipelineTypeError(f"a column's name must be a text, not {name!r}.")
    return Expression({"column": name})


def _operand(value: Any) -> Document:
    if isinstance(value, Expression):
        return value.document
    if hasattr(value, "isoformat"):  # a date or datetime, also of pandas
        return {"time": value.isoformat()}
    if hasattr(value, "item"):  # a number of numpy's
        value = value.item()
    if value is None or isinstance(value, (str, int, float, bool)):
        return {"value": value}
    raise PipelineTypeError(f"a dataset's column cannot be compared with {value!r}.")


def text_of(document: Document) -> str:
    """The condition as an author would write it."""
    if "column" in document:
        return f"ds[{document['column']!r}]"
    if "value" in document:
        return repr(document["value"])
    if "time" in document:
        return repr(document["time"])
    left = text_of(document["left"])
    sign = document["op"]
    if "right" not in document:
        return f"~{left}" if sign == "not" else f"{left}.{sign}()"
    right = text_of(document["right"])
    return f"({left} {sign} {right})" if sign in _BINARY else f"{left}.{sign}({right})"


def evaluate(document: Document, get: Callable[[str], Any]) -> Any:
    """The value of an expression; ``get`` gives a column: a pandas Series or a single value.

    Raises:
        UserErrorException: the values cannot be compared so.
    """
    try:
        return _evaluate(document, get)
    except TypeError as error:
        raise UserErrorException(
            f"the filter {text_of(document)} cannot be used: {error}"
        ) from error


def _evaluate(document: Document, get: Callable[[str], Any]) -> Any:
    if "column" in document:
        return get(document["column"])
    if "value" in document:
        return document["value"]
    if "time" in document:
        from datetime import datetime

        return datetime.fromisoformat(document["time"])
    left = _evaluate(document["left"], get)
    sign = document["op"]
    if sign in ("not", "is_null"):
        return _unary(sign, left)
    right = _evaluate(document["right"], get)
    if sign in _BINARY:
        return _BINARY[sign](left, right)
    return _text(sign, left, right)


def _unary(sign: str, value: Any) -> Any:
    if hasattr(value, "isna"):
        return ~value if sign == "not" else value.isna()
    return not value if sign == "not" else value is None


_TEXT_METHODS = {"starts_with": "startswith", "ends_with": "endswith"}


def _text(sign: str, left: Any, right: str) -> Any:
    if hasattr(left, "str"):
        if sign == "contains":
            return left.str.contains(right, regex=False, na=False)
        return getattr(left.str, _TEXT_METHODS[sign])(right, na=False)
    if sign == "contains":
        return right in (left or "")
    return getattr(left or "", _TEXT_METHODS[sign])(right)
