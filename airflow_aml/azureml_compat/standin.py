"""What stands for a name of v1 that is not served: it can be imported, and says so when it is used.

A class, so that ``isinstance``, ``except`` and annotations that name it go on working.
"""

from __future__ import annotations

from typing import Any, Dict, Tuple

from airflow_aml.errors import NotServedError

TABLE = "docs/compatibility.md"
"""The page that lists every name."""


class _Unserved(type):
    """The class of the stand-ins."""

    def __new__(mcs, name: str, bases: Tuple[type, ...], space: Dict[str, Any]) -> _Unserved:
        for base in bases:
            if isinstance(base, _Unserved):
                raise _refusal(base)
        return super().__new__(mcs, name, bases, space)

    def __call__(cls, *_: Any, **__: Any) -> Any:
        raise _refusal(cls)

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise _refusal(cls, f".{name}")


def stand_in(module: str, name: str, why: str, instead: str) -> type:
    """The stand-in for a name; of an exception one that nothing raises."""
    if name.endswith(("Exception", "Error")):
        return type(name, (Exception,), {"__module__": module})
    space = {"__module__": module, "__doc__": why, "_why": why, "_instead": instead}
    return _Unserved(name, (), space)


def _refusal(cls: _Unserved, member: str = "") -> NotServedError:
    why = vars(cls)["_why"]
    says = f"is not served: {why}." if why else "is not served yet."
    instead = vars(cls)["_instead"]
    hint = f"{instead} " if instead else ""
    return NotServedError(
        f"{cls.__module__}.{cls.__name__}{member} {says}",
        hint=f"{hint}{TABLE} lists what is.",
    )
