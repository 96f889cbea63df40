"""Frozen dataclasses to and from plain JSON values, by their annotations.

Only what specs are made of is known: scalars, ``Optional``, ``Tuple[X, ...]``, ``Dict[str, X]``,
dataclasses, named tuples (the same, where there are very many of one), and unions of dataclasses
told apart by their ``kind`` field. Fields that hold their
default are left out when writing and filled in when reading, so documents stay small and a field
that a later release adds does not change the text of older specs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping  # asked of every value: that of typing answers slowly
from functools import lru_cache
from typing import (
    Any,
    Callable,
    Dict,
    Hashable,
    Tuple,
    Type,
    TypeVar,
    Union,
    cast,
    get_type_hints,
)

from airflow_aml.errors import UserErrorException

T = TypeVar("T")

_SCALARS: Tuple[type, ...] = (str, int, float, bool, type(None))


def encode(value: Any) -> Any:
    """The JSON-ready form of a dataclass, tuple, dict or scalar."""
    if isinstance(value, _SCALARS):
        return value
    if _is_record(type(value)):
        document = {}
        kind: Any = type(value)
        for name, default in _defaults(kind):
            item = getattr(value, name)
            if name == "kind" or not _same(item, default):
                document[name] = encode(item)
        return document
    if isinstance(value, (tuple, list)):
        return [encode(item) for item in value]
    if isinstance(value, dict):
        return {key: encode(item) for key, item in value.items()}
    raise TypeError(f"cannot write a {type(value).__name__} into a spec")


def decode(cls: Type[T], document: Any) -> T:
    """The instance of dataclass ``cls`` that ``document`` describes. Unknown keys are refused.

    Raises:
        UserErrorException: the document does not fit the class; the text says where.
    """
    reader = _reader(cast(Hashable, cls))
    result: T = reader(document, cls.__name__)
    return result


def prepare(*classes: type) -> None:
    """Works out how to read these classes, so that processes forked from this one need not."""
    for cls in classes:
        _reader(cls)


def _same(value: Any, default: Any) -> bool:
    # 1, 1.0 and True are equal in Python and different in a spec.
    return type(value) is type(default) and bool(value == default)


def _is_record(cls: Any) -> bool:
    return dataclasses.is_dataclass(cls) or _is_named_tuple(cls)


def _is_named_tuple(cls: Any) -> bool:
    return isinstance(cls, type) and issubclass(cls, tuple) and hasattr(cls, "_fields")


@lru_cache(maxsize=None)
def _defaults(cls: Any) -> Tuple[Tuple[str, Any], ...]:
    if _is_named_tuple(cls):
        known = cls._field_defaults
        return tuple((name, known.get(name, dataclasses.MISSING)) for name in cls._fields)
    pairs = []
    for item in dataclasses.fields(cls):
        if item.default is not dataclasses.MISSING:
            default: Any = item.default
        elif item.default_factory is not dataclasses.MISSING:
            default = item.default_factory()
        else:
            default = dataclasses.MISSING
        pairs.append((item.name, default))
    return tuple(pairs)


Reader = Callable[[Any, str], Any]


@lru_cache(maxsize=None)
def _reader(annotation: Hashable) -> Reader:
    """A function that reads one JSON value as ``annotation`` says, chosen once per annotation."""
    if _is_record(annotation):
        return _record_reader(annotation)
    origin = getattr(annotation, "__origin__", None)
    if origin is Union:
        return _union_reader(annotation)
    if origin is tuple:
        return _tuple_reader(annotation)
    if origin is dict:
        return _dict_reader(annotation)
    if annotation is Any:
        return lambda value, where: value
    return _scalar_reader(annotation)


def _record_reader(cls: Any) -> Reader:
    hints = get_type_hints(cls)
    readers = {name: _reader(hints[name]) for name, _ in _defaults(cls)}
    names = frozenset(readers)
    required = {name for name, default in _defaults(cls) if default is dataclasses.MISSING}

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, Mapping):
            raise UserErrorException(f"{where} is not an object.")
        if not required <= value.keys() <= names:
            unknown = sorted(set(value) - names)
            missing = sorted(required - set(value))
            said = [f"unknown {name!r}" for name in unknown] + [f"no {name!r}" for name in missing]
            raise UserErrorException(f"{where} has {', '.join(said)}.")
        return cls(**{k: readers[k](v, f"{where}.{k}") for k, v in value.items()})

    return read


def _union_reader(annotation: Any) -> Reader:
    choices: Any = annotation.__args__
    classes: Dict[Any, Reader] = {}
    for choice in choices:
        if dataclasses.is_dataclass(choice):
            kind = dict(_defaults(cast(Hashable, choice)))["kind"]
            classes[kind] = _reader(cast(Hashable, choice))
    scalars = tuple(choice for choice in choices if choice in _SCALARS)
    others = [c for c in choices if c not in scalars and not dataclasses.is_dataclass(c)]
    other = _reader(others[0]) if others else None

    def read(value: Any, where: str) -> Any:
        if isinstance(value, Mapping) and classes:
            kind = value.get("kind")
            if kind in classes:
                return classes[kind](value, where)
            # Optional[dataclass] without a kind of its own
            raise UserErrorException(f"{where} has the unknown kind {kind!r}.")
        if type(value) in scalars:
            return value
        if other is not None:
            return other(value, where)
        raise UserErrorException(f"{where} cannot be {value!r}.")

    return read


def _tuple_reader(annotation: Any) -> Reader:
    item = _reader(annotation.__args__[0])

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, (list, tuple)):
            raise UserErrorException(f"{where} is not a list.")
        return tuple(item(each, f"{where}[{i}]") for i, each in enumerate(value))

    return read


def _dict_reader(annotation: Any) -> Reader:
    item = _reader(annotation.__args__[1])

    def read(value: Any, where: str) -> Any:
        if not isinstance(value, Mapping):
            raise UserErrorException(f"{where} is not an object.")
        return {str(key): item(each, f"{where}.{key}") for key, each in value.items()}

    return read


def _scalar_reader(annotation: Any) -> Reader:
    def read(value: Any, where: str) -> Any:
        if annotation is float and type(value) is int:
            return float(value)
        if type(value) is not annotation:
            raise UserErrorException(f"{where} is not {annotation.__name__}: {value!r}.")
        return value

    return read
