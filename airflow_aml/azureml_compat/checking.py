"""What a program uses of SDK v1, read from its text, and what becomes of each use."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Dict, Iterator, List, Optional, Set, Tuple, Union

from airflow_aml.azureml_compat.members import RESULTS, class_entry, member
from airflow_aml.azureml_compat.names import family_of, is_module
from airflow_aml.azureml_compat.serving import SERVED, Entry, entry

_V1 = "azureml"
UNKNOWN = "unknown"
_CATCHING = ("BaseException", "Exception", "ImportError", "ModuleNotFoundError")


@dataclass(frozen=True)
class Use:
    """One use of a name.

    Attributes:
        name: as ``azureml.core.Workspace``, or ``Pipeline.publish`` for a member of a class.
        status: ``served``, ``refused``, ``not served yet``, or ``unknown`` of what v1 is not known
            to have: its import fails.
        note: in what it differs, or why it is refused.
        instead: what to do instead.
    """

    line: int
    name: str
    status: str
    note: str = ""
    instead: str = ""


@dataclass(frozen=True)
class _Module:
    name: str


@dataclass(frozen=True)
class _Class:
    module: str
    name: str


@dataclass(frozen=True)
class _Instance:
    name: str


@dataclass(frozen=True)
class _Member:
    """``whole`` is a call's name in :data:`RESULTS`: ``Dataset.File.from_files``."""

    whole: str


_Thing = Union[_Module, _Class, _Instance, _Member]


def uses(source: bytes) -> List[Use]:
    """Every use of a v1 name in a Python file, in the file's order.

    A name that is only imported, caught or compared is not used, unless v1 is not known to have
    it. Variables are followed from what they are first made of.

    Raises:
        SyntaxError: it is no Python.
        ValueError: likewise.
    """
    tree = ast.parse(source)
    known = _Known(tree)
    parents = {child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)}
    found = {use for node in ast.walk(tree) for use in _uses_at(node, known, parents)}
    found.update(use for node in ast.walk(tree) for use in _failing_imports(node, parents))
    return sorted(found, key=lambda use: (use.line, use.name))


class _Known:
    """What the names of a file stand for."""

    def __init__(self, tree: ast.AST):
        self.names: Dict[str, _Thing] = {}
        for node in ast.walk(tree):
            for name, thing in _imported(node):
                self.names[name] = thing
        assigned = [node for node in ast.walk(tree) if isinstance(node, ast.Assign)]
        for node in sorted(assigned, key=lambda each: each.lineno):
            made, target = self.thing(node.value), node.targets[0]
            if isinstance(target, ast.Name) and isinstance(made, _Instance):
                self.names.setdefault(target.id, made)

    def thing(self, node: ast.AST) -> Optional[_Thing]:
        """What an expression is of v1; None for anything else."""
        if isinstance(node, ast.Name):
            return self.names.get(node.id)
        if isinstance(node, ast.Call):
            return self._result(self.thing(node.func))
        if isinstance(node, ast.Attribute):
            return self._attribute(self.thing(node.value), node.attr)
        return None

    def _result(self, called: Optional[_Thing]) -> Optional[_Thing]:
        if isinstance(called, _Class):
            return _Instance(called.name)
        if isinstance(called, _Member) and called.whole in RESULTS:
            return _Instance(RESULTS[called.whole])
        return None

    def _attribute(self, above: Optional[_Thing], name: str) -> Optional[_Thing]:
        if isinstance(above, _Module):
            if entry(above.name, name):
                return _Class(above.name, name)
            below = f"{above.name}.{name}"
            return _Module(below) if is_module(below) else None
        if isinstance(above, (_Class, _Instance)):
            return _Member(f"{above.name}.{name}")
        return _Member(f"{above.whole}.{name}") if isinstance(above, _Member) else None


def _imported(node: ast.AST) -> Iterator[Tuple[str, _Thing]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name.split(".")[0] == _V1:
                whole = alias.asname is not None
                yield alias.asname or _V1, _Module(alias.name if whole else _V1)
    elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == _V1:
        module = str(node.module)
        for alias in node.names:
            below = f"{module}.{alias.name}"
            is_name = entry(module, alias.name) and (family_of(module) or not is_module(below))
            thing = _Class(module, alias.name) if is_name else _Module(below)
            yield alias.asname or alias.name, thing


def _failing_imports(node: ast.AST, parents: Dict[ast.AST, ast.AST]) -> Iterator[Use]:
    """What an import asks for in vain, unless the program is prepared for that."""
    wanted: List[Tuple[str, str]] = []
    if isinstance(node, ast.Import):
        wanted = [(alias.name, "") for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        wanted = [(node.module, alias.name) for alias in node.names]
    else:
        return
    for module, name in wanted:
        if module.split(".")[0] != _V1 or _is_caught(node, parents):
            continue
        whole = f"{module}.{name}" if name not in ("", "*") and is_module(module) else module
        if not (is_module(whole) or entry(module, name)):
            yield Use(node.lineno, whole, UNKNOWN, "SDK v1 is not known to have it; check the name")


def _is_caught(node: ast.AST, parents: Dict[ast.AST, ast.AST]) -> bool:
    """Whether a ``try`` around an import catches that it fails."""
    while node in parents:
        inner, node = node, parents[node]
        if isinstance(node, ast.Try) and inner in node.body:
            for handler in node.handlers:
                caught = [] if handler.type is None else list(ast.walk(handler.type))
                if not caught or any(getattr(each, "id", "") in _CATCHING for each in caught):
                    return True
    return False


def _uses_at(node: ast.AST, known: _Known, parents: Dict[ast.AST, ast.AST]) -> Iterator[Use]:
    if not isinstance(node, (ast.Name, ast.Attribute)):
        return
    above = known.thing(node.value) if isinstance(node, ast.Attribute) else None
    thing = known.thing(node)
    parent = parents.get(node)
    if isinstance(thing, _Class):
        found = entry(thing.module, thing.name)
        if found and (found.status == SERVED or _is_used(node, parent)):
            yield _use(node.lineno, f"{thing.module}.{thing.name}", found)
    elif isinstance(node, ast.Attribute) and isinstance(above, (_Class, _Instance)):
        outer = class_entry(above.name)
        if outer is None or outer.status != SERVED:
            return  # said already, of the class
        called = isinstance(parent, ast.Call) and parent.func is node
        of_class = isinstance(above, _Class)
        of_member = member(above.name, node.attr, called=called, by_class=of_class)
        if of_member:
            yield _use(node.lineno, of_member.name, of_member)


def _is_used(node: ast.AST, parent: Optional[ast.AST]) -> bool:
    """Whether a stand-in would speak up."""
    if isinstance(parent, ast.Call):
        return parent.func is node
    if isinstance(parent, ast.ClassDef):
        return node in parent.bases
    return isinstance(parent, ast.Attribute)


def _use(line: int, name: str, found: Entry) -> Use:
    return Use(line, name, found.status, found.note, found.instead)


def refused(found: List[Use]) -> Set[str]:
    """The names that stop the program."""
    return {use.name for use in found if use.status != SERVED}
