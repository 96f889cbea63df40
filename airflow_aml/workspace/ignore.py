"""Ignore files: which paths git's language says to leave out.

Git's rules (gitignore(5)) to the letter, so that a snapshot is what ``git ls-files`` would list.
Only ``?`` and ``[...]`` stand for a character, as in v1, where git takes a byte.
A path is asked for after the folders above it: below a folder that is left out nothing is asked,
and so nothing in it can be brought back, as in git.
"""

from __future__ import annotations

import re
from typing import Iterable, List, NamedTuple, Optional, Tuple

_CLASSES = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": " \\t",
    "cntrl": "\\x00-\\x1f\\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": "!-/:-@\\[-`{-~",
    "space": " \\t-\\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}

_SPECIAL = re.compile(r"[*?\[\\]")


class _Rule(NamedTuple):
    pattern: re.Pattern[str]
    leaves_out: bool
    folders_only: bool
    by_name: bool


class IgnoreRules:
    """The rules of one ignore file."""

    def __init__(self, text: str) -> None:
        lines = text.split("\n")
        rules = [_rule(line[:-1] if line.endswith("\r") else line) for line in lines]
        # The last rule that matches decides.
        self._rules = [rule for rule in reversed(rules) if rule is not None]
        self._some_name = _any_of(rule for rule in self._rules if rule.by_name)
        self._some_path = _any_of(rule for rule in self._rules if not rule.by_name)

    def leaves_out(self, relative: str, is_folder: bool) -> bool:
        """Whether this path, relative to the ignore file and POSIX, is left out."""
        name = relative.rpartition("/")[2]
        if not (self._some_name.fullmatch(name) or self._some_path.fullmatch(relative)):
            return False  # as of most: one look, however many rules there are
        for rule in self._rules:
            if rule.folders_only and not is_folder:
                continue
            if rule.pattern.fullmatch(name if rule.by_name else relative):
                return rule.leaves_out
        return False


def _any_of(rules: Iterable[_Rule]) -> re.Pattern[str]:
    patterns = [f"(?:{rule.pattern.pattern})" for rule in rules]
    return re.compile("|".join(patterns) or "(?!)", re.DOTALL)


def _rule(line: str) -> Optional[_Rule]:
    text = _without_trailing_spaces(line)
    if not text or text.startswith("#"):
        return None
    leaves_out = not text.startswith("!")
    if not leaves_out:
        text = text[1:]
    folders_only = text.endswith("/")
    if folders_only:
        text = text[:-1]
    by_name = "/" not in text
    expression = _expression(text[1:] if text.startswith("/") else text)
    if expression is None:
        return None
    return _Rule(re.compile(expression, re.DOTALL), leaves_out, folders_only, by_name)


def _without_trailing_spaces(line: str) -> str:
    kept = line.rstrip(" ")
    stripped = len(kept) < len(line)
    backslashes = len(kept) - len(kept.rstrip("\\"))
    return kept + " " if stripped and backslashes % 2 else kept


def _expression(pattern: str) -> Optional[str]:
    """The pattern as a regular expression; None if it is one that matches nothing."""
    parts: List[str] = []
    position = 0
    while position < len(pattern):
        sign = pattern[position]
        if sign == "*":
            text, position = _stars(pattern, position)
        elif sign == "?":
            text, position = "[^/]", position + 1
        elif sign == "[":
            bracket = _bracket(pattern, position)
            if bracket is None:
                return None
            text, position = bracket
        elif sign == "\\":
            if position + 1 == len(pattern):
                return None
            text, position = re.escape(pattern[position + 1]), position + 2
        else:
            text, position = re.escape(sign), position + 1
        parts.append(text)
    return "".join(parts)


def _stars(pattern: str, start: int) -> Tuple[str, int]:
    end = start
    while end < len(pattern) and pattern[end] == "*":
        end += 1
    before = pattern[:start]
    # Git takes what follows the pattern's literal beginning for a pattern of its own.
    starts_part = not before or before.endswith("/") or not _SPECIAL.search(before)
    if end - start >= 2 and starts_part:
        if end == len(pattern) or pattern.startswith("\\/", end):
            return ".*", end
        if pattern[end] == "/":
            return "(?:.*/)?", end + 1
    return "[^/]*", end


def _bracket(pattern: str, start: int) -> Optional[Tuple[str, int]]:
    position = start + 1
    negated = pattern[position : position + 1] in ("!", "^")
    if negated:
        position += 1
    members: List[str] = []
    first = True
    while first or pattern[position : position + 1] != "]":
        first = False
        member = _member(pattern, position)
        if member is None:
            return None
        text, position = member
        members.append(text)
    body = "".join(members)
    if not body:
        return ("[^/]" if negated else "(?!)"), position + 1
    return f"(?!/)[{'^' if negated else ''}{body}]", position + 1


def _member(pattern: str, start: int) -> Optional[Tuple[str, int]]:
    """One member of a bracket: a class, a range, or a character."""
    if pattern.startswith("[:", start):
        end = pattern.find(":]", start)
        name = pattern[start + 2 : end] if end >= 0 else ""
        return (_CLASSES[name], end + 2) if name in _CLASSES else None
    low = _character(pattern, start)
    if low is None:
        return None
    if pattern[low[1] : low[1] + 1] == "-" and pattern[low[1] + 1 : low[1] + 2] not in ("", "]"):
        high = _character(pattern, low[1] + 1)
        if high is None:
            return None
        if low[0] > high[0]:
            return re.escape(low[0]), high[1]
        return f"{re.escape(low[0])}-{re.escape(high[0])}", high[1]
    return re.escape(low[0]), low[1]


def _character(pattern: str, start: int) -> Optional[Tuple[str, int]]:
    if pattern[start : start + 1] == "\\":
        start += 1
    return (pattern[start], start + 1) if start < len(pattern) else None
