"""Two keys of a step, compared component by component, in words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Key = Mapping[str, Any]
Contents = Callable[[str], "Sequence[str] | None"]
"""Input name -> its files that differ, each with what became of it; None if nobody knows."""

Wishes = Callable[[str], "str | None"]
"""Input name -> that a parameter names other data for it, in words; None if it does not."""

_LONGEST = 60
_MOST = 3


def shown(value: Any) -> str:
    """A value as a sentence shows it, cut where it is long."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def joined(names: Sequence[str]) -> str:
    """Three names at most, and how many more there are."""
    more = f" and {len(names) - _MOST} more" if len(names) > _MOST else ""
    return f"{', '.join(names[:_MOST])}{more}"


def differences(
    old: Key,
    new: Key,
    sources: Callable[[str, str], Sequence[str]],
    packages: Callable[[str, str], Sequence[str]],
    contents: Contents,
    wishes: Wishes = lambda name: None,
) -> list[str]:
    """What differs, each in a few words, what the author touched first.

    Args:
        sources: words for two snapshot digests that differ.
        packages: words for two environment digests that differ.
        contents: which files of an input differ.
        wishes: whether an input's data was chosen anew.
    """
    said: list[str] = []
    if old.get("kind") != new.get("kind"):
        said.append(f"the step's type changed from {old.get('kind')} to {new.get('kind')}")
    if old.get("script") != new.get("script"):
        said.append(f"the script is {new.get('script')}, and was {old.get('script')}")
    if old.get("snapshot") != new.get("snapshot"):
        said.extend(sources(str(old.get("snapshot")), str(new.get("snapshot"))))
    said.extend(_parameters(old, new))
    said.extend(_arguments(old.get("arguments", ()), new.get("arguments", ())))
    said.extend(_inputs(_part(old, "inputs"), _part(new, "inputs"), contents, wishes))
    said.extend(_ports(_part(old, "outputs"), _part(new, "outputs")))
    if old.get("environment") != new.get("environment"):
        said.extend(packages(str(old.get("environment")), str(new.get("environment"))))
    said.extend(_variables(_part(old, "variables"), _part(new, "variables")))
    said.extend(_settings(old, new))
    return list(dict.fromkeys(said))  # a file of hash_paths may be one of the sources, too


def _part(key: Key, name: str) -> Mapping[str, Any]:
    part = key.get(name)
    return part if isinstance(part, Mapping) else {}


def _parameters(old: Key, new: Key) -> Iterator[str]:
    """Values of pipeline parameters, wherever they are used, and the fixed texts of params=."""
    before, after = _values(old), _values(new)
    for name in sorted({*before, *after}):
        if name not in after:
            yield f"parameter {name!r} is not used any more"
        elif name not in before:
            yield f"parameter {name!r} is new ({shown(after[name])})"
        elif not _same(before[name], after[name]):
            yield f"parameter {name!r} changed from {_pair(before[name], after[name])}"


def _values(key: Key) -> dict[str, Any]:
    values = {}
    for port, each in _part(key, "params").items():
        values[each[1] if each[0] == "parameter" else port] = each[-1]
    for each in key.get("arguments", ()):
        if each[0] == "parameter":
            values[each[1]] = each[-1]
    return values


def _pair(old: Any, new: Any) -> str:
    if str(old) == str(new):  # 1 and "1": the type is what differs
        return f"{shown(old)} ({type(old).__name__}) to {shown(new)} ({type(new).__name__})"
    return f"{shown(old)} to {shown(new)}"


def _same(old: Any, new: Any) -> bool:
    return type(old) is type(new) and repr(old) == repr(new)


def _arguments(old: Sequence[Any], new: Sequence[Any]) -> Iterator[str]:
    before, after = [_template(each) for each in old], [_template(each) for each in new]
    if before == after:
        return
    if sorted(before) == sorted(after):
        yield "the order of the arguments changed"
        return
    differ = [n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b]
    if len(before) == len(after) and len(differ) <= _MOST:
        for number in differ:
            yield _argument(number, after, before[number], after[number])
        return
    added = [each for each in after if each not in before]
    gone = [each for each in before if each not in after]
    words = [f"{shown_argument(each)} is new" for each in added]
    words += [f"{shown_argument(each)} is gone" for each in gone]
    yield f"the arguments changed: {joined(words)}" if words else "the arguments changed"


def _template(argument: Sequence[Any]) -> tuple[str, str]:
    # A parameter's value is told apart from where it stands.
    return str(argument[0]), str(argument[1]) if len(argument) > 1 else ""


def shown_argument(argument: tuple[str, str]) -> str:
    """An argument as a sentence shows it: its text, or what it refers to."""
    kind, value = argument
    return shown(value) if kind == "text" else f"{kind} {value!r}"


def _argument(
    number: int, arguments: list[tuple[str, str]], old: tuple[str, str], new: tuple[str, str]
) -> str:
    flag = arguments[number - 1] if number else ("", "")
    named = flag[0] == "text" and flag[1].startswith("-")
    name = f"argument {flag[1]}" if named else f"argument {number + 1}"
    return f"{name} changed from {shown_argument(old)} to {shown_argument(new)}"


def _inputs(
    old: Mapping[str, Any], new: Mapping[str, Any], contents: Contents, wishes: Wishes
) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if name not in new or name not in old:
            yield f"input {name!r} {'is new' if name in new else 'is gone'}"
            continue
        before, after = dict(old[name]), dict(new[name])
        if before.pop("content", None) != after.pop("content", None):
            yield wishes(name) or changed_content(f"input {name!r}", contents(name))
        for part in sorted({*before, *after}):
            if before.get(part) != after.get(part):
                yield _setting(f"{_WORDS.get(part, part)} of input {name!r}", before, after, part)


_WORDS = {"read": "the way of reading", "path_on_compute": "the path_on_compute"}


def changed_content(what: str, paths: Sequence[str] | None) -> str:
    """That data changed, and which of its files did, if that is known."""
    if not paths:
        return f"{what} changed"
    if list(paths) == [""]:
        return f"the file of {what} changed"
    files = f"{len(paths)} file{'' if len(paths) == 1 else 's'}"
    dots = ", ..." if len(paths) > _MOST else ""
    names = ", ".join(" ".join(path.splitlines()) for path in paths[:_MOST])
    return f"{what} changed: {files} ({names}{dots})"


def _ports(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if name not in new or name not in old:
            yield f"output {name!r} {'is new' if name in new else 'is gone'}"
            continue
        for part in sorted({*old[name], *new[name]}):
            if old[name].get(part) != new[name].get(part):
                yield _setting(f"{part} of output {name!r}", old[name], new[name], part)


def _setting(name: str, old: Mapping[str, Any], new: Mapping[str, Any], part: str) -> str:
    before, after = old.get(part), new.get(part)
    if isinstance(before, Mapping) or isinstance(after, Mapping):
        return f"{name} changed"
    if before is None:
        return f"{name} is {shown(after)} now, and was not set"
    if after is None:
        return f"{name} is not set any more, and was {shown(before)}"
    return f"{name} changed from {shown(before)} to {shown(after)}"


def _variables(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):  # never the value: it may be a secret
            what = "is gone" if name not in new else "changed" if name in old else "is new"
            yield f"environment variable {name!r} {what}"


def _settings(old: Key, new: Key) -> Iterator[str]:
    before, after = _part(old, "compute"), _part(new, "compute")
    for name in sorted({*before, *after}):
        if before.get(name) != after.get(name):
            yield _setting(name, before, after, name)
    asked, asks = _part(old, "asked"), _part(new, "asked")
    for name in sorted({*asked, *asks}):
        if asked.get(name) != asks.get(name):
            yield _ASKED.get(name, "the software that the step asks for changed")
    if old.get("salt") != new.get("salt"):
        yield _setting("the step's version", old, new, "salt")
    yield from _paths(old.get("hash_paths") or (), new.get("hash_paths") or ())
    if old.get("scope") != new.get("scope"):
        yield "the scope of reuse changed"
    if old.get("extra") != new.get("extra"):
        yield "the author's extra key material changed"
    if old.get("version") != new.get("version"):
        yield "another release made the earlier key"


_ASKED = {
    "python": "the Python version that the step asks for changed",
    "pip": "the pip packages that the step asks for changed",
    "conda": "the conda packages that the step asks for changed",
    "image": "the image that the step asks for changed",
}


def _paths(old: Sequence[Any], new: Sequence[Any]) -> Iterator[str]:
    before, after = dict(map(tuple, old)), dict(map(tuple, new))
    for path in sorted({*before, *after}):
        if path in after and after[path] is None and before.get(path, "") is not None:
            yield f"{path} of hash_paths is not there"
        elif path not in before or path not in after:
            yield f"{path} {'is new' if path in after else 'is gone'} in hash_paths"
        elif before[path] != after[path]:
            yield f"{path} changed"
