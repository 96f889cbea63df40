"""Rewriting a file's imports with libcst, which keeps every other character."""

from __future__ import annotations

import ast
from collections.abc import Sequence

import libcst
from libcst.helpers import get_full_name_for_node

import airflow_aml.azureml_compat  # noqa: F401 - what is served is found by looking
from airflow_aml.azureml_compat.serving import entry

_V1 = "azureml"
_COMPAT = "import airflow_aml.azureml_compat"


def rewritten(source: bytes) -> bytes:
    """The file with its imports of SDK v1 changed to ours.

    A name that is not served stays as it is, and so does ``import azureml...``; ahead of the first
    such line, and of those in blocks before it, stands the import that makes it work.

    Raises:
        SyntaxError: it is no Python.
    """
    ast.parse(source)  # Python's own words for what is wrong
    module = libcst.parse_module(source)
    return module.visit(_Imports(has_compat=_COMPAT.encode() in source)).bytes


class _Imports(libcst.CSTTransformer):
    def __init__(self, *, has_compat: bool) -> None:
        super().__init__()
        self._has_compat = has_compat
        self._depth = 0

    def visit_IndentedBlock(self, node: libcst.IndentedBlock) -> None:  # noqa: N802 - libcst's
        """Goes into a block, which may never be executed, or late."""
        self._depth += 1

    def leave_IndentedBlock(  # noqa: N802 - libcst's
        self, original_node: libcst.IndentedBlock, updated_node: libcst.IndentedBlock
    ) -> libcst.IndentedBlock:
        """Comes out of it."""
        self._depth -= 1
        return updated_node

    def leave_SimpleStatementLine(  # noqa: N802 - libcst's name
        self,
        original_node: libcst.SimpleStatementLine,
        updated_node: libcst.SimpleStatementLine,
    ) -> libcst.BaseStatement | libcst.FlattenSentinel[libcst.BaseStatement]:
        """Changes a line that imports names of v1."""
        statement = updated_node.body[0]
        if not _names_v1(statement):
            return updated_node
        ours: dict[str, list[libcst.ImportAlias]] = {}
        left: list[libcst.ImportAlias] = []
        if len(updated_node.body) == 1 and isinstance(statement, libcst.ImportFrom):
            ours, left = _sorted_out(statement)
        if not ours:
            return self._kept(updated_node)
        assert isinstance(statement, libcst.ImportFrom)
        if len(ours) == 1 and not left:
            (home,) = ours
            moved = statement.with_changes(module=_dotted(home))
            return updated_node.with_changes(body=[moved])
        lines: list[libcst.BaseStatement] = [_line(home, names) for home, names in ours.items()]
        lines[0] = lines[0].with_changes(leading_lines=updated_node.leading_lines)
        if left:
            rest = statement.with_changes(names=_clean(left), lpar=None, rpar=None)
            lines += self._lines_kept(libcst.SimpleStatementLine([rest]))
        return libcst.FlattenSentinel(lines)

    def _kept(
        self, line: libcst.SimpleStatementLine
    ) -> libcst.BaseStatement | libcst.FlattenSentinel[libcst.BaseStatement]:
        return libcst.FlattenSentinel(self._lines_kept(line))

    def _lines_kept(self, line: libcst.SimpleStatementLine) -> list[libcst.BaseStatement]:
        if self._has_compat:
            return [line]
        self._has_compat = not self._depth
        compat = libcst.parse_statement(_COMPAT)
        assert isinstance(compat, libcst.SimpleStatementLine)
        return [
            compat.with_changes(leading_lines=line.leading_lines),
            line.with_changes(leading_lines=()),
        ]


def _names_v1(statement: libcst.BaseSmallStatement) -> bool:
    if isinstance(statement, libcst.ImportFrom) and not statement.relative:
        return _is_v1(statement.module)
    if isinstance(statement, libcst.Import):
        return any(_is_v1(alias.name) for alias in statement.names)
    return False


def _is_v1(node: libcst.CSTNode | None) -> bool:
    return (get_full_name_for_node(node) or "").split(".")[0] == _V1 if node else False


def _sorted_out(
    statement: libcst.ImportFrom,
) -> tuple[dict[str, list[libcst.ImportAlias]], list[libcst.ImportAlias]]:
    """The names by the module of ours that has them, and those that nobody has."""
    ours: dict[str, list[libcst.ImportAlias]] = {}
    left: list[libcst.ImportAlias] = []
    if isinstance(statement.names, libcst.ImportStar):
        return ours, left
    assert statement.module is not None
    module = get_full_name_for_node(statement.module) or ""
    for alias in statement.names:
        found = entry(module, str(alias.name.value))
        home, _, name = (found.home if found else "").partition(":")
        # Under another name of ours it would need an `as`: it is left to the table.
        if home and name == alias.name.value:
            ours.setdefault(home, []).append(alias)
        else:
            left.append(alias)
    return ours, left


def _line(home: str, names: Sequence[libcst.ImportAlias]) -> libcst.SimpleStatementLine:
    return libcst.SimpleStatementLine(
        [libcst.ImportFrom(module=_dotted(home), names=_clean(names))]
    )


def _clean(names: Sequence[libcst.ImportAlias]) -> list[libcst.ImportAlias]:
    """Without the commas and line breaks that stood between them."""
    return [each.with_changes(comma=libcst.MaybeSentinel.DEFAULT) for each in names]


def _dotted(name: str) -> libcst.Attribute | libcst.Name:
    node = libcst.parse_expression(name)
    assert isinstance(node, (libcst.Attribute, libcst.Name))
    return node
