"""How this program ends: with which exit code, or by which exception.

When a program's last functions are called, Python has forgotten the code that ``sys.exit`` was
given. So who will want to know says so before: from then on it is noted, where it really ends the
program. A ``raise SystemExit(3)``, or a ``sys.exit`` that was looked up before, as in
``sys.exit(main())``, goes unseen.
"""

from __future__ import annotations

import builtins
import sys
from typing import Any, NoReturn


class _Leaving(SystemExit):
    """What ``sys.exit`` raises: it may be caught still, and then ends nothing."""

    ends_with: Any = None

    @property
    def code(self) -> Any:  # type: ignore[override]
        """The exit code; where it is asked from no line of Python, the interpreter goes by it."""
        found = self.args[0] if self.args else None
        try:
            sys._getframe(1)  # noqa: SLF001 - the one way to ask
        except ValueError:
            _Leaving.ends_with = found
        return found


def watch() -> None:
    """From now on :func:`why_ended` knows of exit codes."""
    if getattr(sys.exit, "__module__", "") == __name__:
        return
    sys.exit = _exit
    quitter = type(getattr(builtins, "exit", None))
    if quitter.__module__ == "_sitebuiltins":  # IPython has others, which end no program
        quitter.__call__ = _quit  # type: ignore[method-assign]


def why_ended() -> str:
    """Why this program, which is ending, ends badly; empty if it does not."""
    error = getattr(sys, "last_value", None)
    if error is not None and not isinstance(error, SystemExit):
        return f"{type(error).__name__}: {error}"
    code = _Leaving.ends_with if error is None else error.code
    if not code:
        return ""
    if isinstance(code, int):
        return f"the program ended with exit code {int(code)}"
    return f"the program ended with exit code 1: {code}"


def _exit(status: Any = None, /) -> NoReturn:
    raise _Leaving(status)


def _quit(_: Any, code: Any = None) -> NoReturn:
    _exit(code)
