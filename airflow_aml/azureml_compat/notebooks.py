"""Notebooks as programs: their code cells one after the other, magics as calls of a shell.

What a magic becomes is what Jupyter's own export writes: ``!ls`` is ``get_ipython().system('ls')``.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from types import CodeType
from typing import Any, Dict, Iterator, List, Optional, Set

from airflow_aml.errors import NotServedError, UserErrorException

_SHOWN_ONLY = frozenset(
    ["autoreload", "config", "load_ext", "matplotlib", "pylab", "reload_ext", "unload_ext"]
)
_TEXTS = frozenset(["html", "javascript", "js", "latex", "markdown", "svg"])
_ASSIGNED = re.compile(r"(\s*[\w.,\s\[\]'\"]+=\s*)([!%])(.*)")


@dataclass(frozen=True)
class Cell:
    """A code cell.

    Attributes:
        number: its place among all cells of the notebook, from 1.
        source: Python.
    """

    number: int
    source: str


def code_cells(notebook: bytes, where: str) -> List[Cell]:
    """The code cells of a notebook, as Python.

    Raises:
        UserErrorException: it is no notebook, or not one in Python; ``where`` names it.
    """
    try:
        document = json.loads(notebook)
        cells = document["cells"]
        language = document.get("metadata", {}).get("kernelspec", {}).get("language", "python")
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserErrorException("this is no notebook of Jupyter's.", where=where) from error
    if language != "python":
        raise UserErrorException(f"the notebook is in {language}, not in Python.", where=where)
    found = []
    for number, cell in enumerate(cells, 1):
        if cell.get("cell_type") == "code":
            source = cell.get("source", "")
            found.append(Cell(number, _python("".join(source))))
    return found


def _python(source: str) -> str:
    """A cell's text with its magics as calls; lines stay where they are."""
    if source.lstrip().startswith("%%"):
        head, _, body = source.lstrip().partition("\n")
        name, _, line = head[2:].partition(" ")
        return f"get_ipython().run_cell_magic({name!r}, {line.strip()!r}, {body!r})"
    lines = source.split("\n")
    for _ in range(len(lines)):  # only what is no Python, one line after the other
        wrong = _wrong_line(lines)
        if wrong is None or _line(lines[wrong]) == lines[wrong]:
            break
        lines[wrong] = _line(lines[wrong])
    return "\n".join(lines)


def _wrong_line(lines: List[str]) -> Optional[int]:
    """The first line that is no Python; None if all are."""
    try:
        ast.parse("\n".join(lines))
    except SyntaxError as error:
        number = (error.lineno or 0) - 1
        return number if 0 <= number < len(lines) else None
    except ValueError:  # a null byte: who executes it is told
        return None
    return None


def _line(line: str) -> str:
    text = line.lstrip()
    space = line[: len(line) - len(text)]
    if text.startswith(("!", "%")):
        return space + _call(text[0], text[1:])
    if text.startswith("?") or (text.endswith("?") and not text.startswith("#")):
        return f"{space}pass  # {text}"
    assigned = _ASSIGNED.fullmatch(line)
    if assigned and "==" not in assigned[1]:
        return assigned[1] + _call(assigned[2], assigned[3], kept=True)
    return line


def _call(sign: str, text: str, *, kept: bool = False) -> str:
    if sign == "!":
        return f"get_ipython().{'getoutput' if kept else 'system'}({text.lstrip('!').strip()!r})"
    name, _, line = text.partition(" ")
    return f"get_ipython().run_line_magic({name!r}, {line.strip()!r})"


class Shell:
    """What a notebook's cells have besides Python: ``get_ipython()`` and ``display``.

    Args:
        names: the cells' own names.
    """

    def __init__(self, names: Dict[str, Any]):
        self._names = names
        self._said: Set[str] = set()
        names.update(get_ipython=lambda: self, display=self.display)

    @staticmethod
    def display(*things: Any, **_: Any) -> None:
        """Prints what a notebook would draw."""
        for thing in things:
            print(thing)  # noqa: T201 - that is what is asked for

    def system(self, command: str) -> None:
        """``!command``: a shell runs it, with the cells' names for ``{name}`` and ``$name``."""
        _shell(self._filled(command))

    def getoutput(self, command: str) -> List[str]:
        """``lines = !command``."""
        done = _shell(self._filled(command), stdout=subprocess.PIPE, text=True)
        return str(done.stdout).splitlines()

    def run_line_magic(self, name: str, line: str, *_: Any) -> Any:
        """``%name line``.

        Raises:
            NotServedError: there is no such magic here.
        """
        if name in _SHOWN_ONLY:
            self._say(f"%{name} has no effect outside a notebook")
        elif name in ("pip", "conda"):
            self.system(f"{sys.executable} -m pip {line}" if name == "pip" else f"conda {line}")
        elif name == "cd":
            os.chdir(os.path.expanduser(self._filled(line).strip("'\"")))
        elif name in ("env", "set_env") and re.match(r"\w+[ =]", line):
            variable, value = re.split(r"[ =]+", line, maxsplit=1)
            os.environ[variable] = self._filled(value)
        elif name in ("time", "timeit"):
            self._run(line)
        elif name == "pwd":
            return os.getcwd()
        else:
            raise _unknown(f"%{name}")
        return None

    def run_cell_magic(self, name: str, line: str, body: str) -> None:
        """``%%name line`` and the lines below it.

        Raises:
            NotServedError: there is no such magic here.
        """
        if name in ("writefile", "file"):
            self._write(line, body)
        elif name in ("time", "timeit", "capture", "prun"):
            self._run(_python(body))
        elif name in ("bash", "sh", "!"):
            _shell(body)
        elif name in _TEXTS:
            self._say(f"%%{name} has no effect outside a notebook")
        else:
            raise _unknown(f"%%{name}")

    def _write(self, line: str, body: str) -> None:
        words = [word for word in line.split() if word not in ("-a", "--append")]
        path = os.path.expanduser(self._filled(" ".join(words)).strip("'\""))
        with open(path, "w" if words == line.split() else "a", encoding="utf-8") as file:
            file.write(body if body.endswith("\n") else f"{body}\n")

    def _run(self, source: str) -> None:
        exec(compile(source, "a magic", "exec"), self._names)  # noqa: S102 - a cell's own code

    def _filled(self, text: str) -> str:
        """The text with values of the cells' names for ``{name}`` and ``$name``; else as it is."""

        def value(found: Any) -> str:
            name = found[1] or found[2]
            return str(self._names[name]) if name in self._names else str(found[0])

        return re.sub(r"\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)", value, text)

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            print(f"airflow-aml: {text}", file=sys.stderr)  # noqa: T201 - once for each


def _shell(command: str, **options: Any) -> Any:
    sys.stdout.flush()
    return subprocess.run(command, shell=True, check=False, **options)  # noqa: S602 - as written


def _unknown(magic: str) -> NotServedError:
    return NotServedError(
        f"{magic} is a magic of notebooks that is not served here.",
        hint="Take it out, or run the notebook in Jupyter after import airflow_aml.azureml_compat.",
    )


def executed(cells: List[Cell], notebook: str, names: Dict[str, Any]) -> Iterator[CodeType]:
    """The code of each cell in turn, for whoever executes it among ``names``.

    Tracebacks show the cell's lines.

    Raises:
        SyntaxError: a cell is no Python; it names cell and line.
    """
    import linecache

    Shell(names)
    for cell in cells:
        file = f"{notebook}, cell {cell.number}"
        lines = cell.source.splitlines(keepends=True)
        linecache.cache[file] = (len(cell.source), None, lines, file)
        yield compile(cell.source, file, "exec")
