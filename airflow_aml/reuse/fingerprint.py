"""A step's key: everything that decides its result, as a record, and the digest of that record.

A *template* is built once per step when a run starts and stored in ``plan.json``; where the step
reads what another step writes it has a hole. :func:`complete` fills the holes with the digests of
those outputs, and the result is the fingerprint. Both are plain JSON.

Not in a key: names and ids of steps, DAGs, runs, users, hosts and computes; absolute paths and
times; what an output is registered as. So the same work is the same work in another pipeline, in
another checkout, on another machine.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_aml.errors import AirflowAmlError

if TYPE_CHECKING:
    from airflow_aml.definition.spec import InputSpec, NodeSpec, OutputSpec, PipelineSpec

KEY_VERSION = 1

Key = dict[str, Any]
"""A key record or its template, plain JSON."""

Outputs = Mapping[str, Mapping[str, str]]
"""Step id -> output name -> digest of the output's manifest."""

_HEADER = b"airflow_aml fingerprint 1\n"
_HOLE = "from"


class NoKey(AirflowAmlError):
    """A step's key cannot be computed, so the step runs; the text is one sentence that says why."""


@dataclass(frozen=True)
class Fingerprint:
    """A complete key.

    Attributes:
        record: the key's components, plain JSON, stored whole.
        digest: ``sha256:<hex>`` over the record.
    """

    record: Key
    digest: str

    @property
    def short(self) -> str:
        """Twelve characters, for people."""
        return self.digest.rpartition(":")[2][:12]


@dataclass(frozen=True)
class ExternalInput:
    """What an input that no step writes holds in one run.

    Attributes:
        digest: of the data's content: relative paths and bytes.
        definition: the dataset as it was pinned (``PlannedInput.definition``): how it is read.
    """

    digest: str
    definition: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class KeyFacts:
    """What a step's definition does not tell and its key needs.

    Attributes:
        snapshot: digest of the source folder.
        environment: digest of the environment that the script will really run in.
        parameters: the run's values of all pipeline parameters, in their types.
        inputs: by port name, those that no other step writes.
        hash_paths: each path of ``hash_paths`` as written -> digest of its content; None: missing.
        pipeline: the DAG id if results are shared within it alone; None: with the workspace.
        ignored: arguments that do not count: a flag (``--verbose``, with the value that follows
            it) or the name of a pipeline parameter.
        extra: further key material, plain JSON.
        unknown: input name -> a sentence that says why its content cannot be told.
        locked: the environment is a lock, so what was asked for does not count beside it.
    """

    snapshot: str
    environment: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, ExternalInput] = field(default_factory=dict)
    hash_paths: Mapping[str, str | None] = field(default_factory=dict)
    pipeline: str | None = None
    ignored: Collection[str] = ()
    extra: Any = None
    unknown: Mapping[str, str] = field(default_factory=dict)
    locked: bool = False


def key_template(node: NodeSpec, facts: KeyFacts) -> Key:
    """The key of a step as far as it is known when the run starts.

    What is not known for certain is no error here: :func:`complete` raises it.
    """
    unknown: list[str] = list(facts.unknown.values())
    settings = node.settings
    template: Key = {
        "version": KEY_VERSION,
        "kind": node.kind,
        "script": node.script_name,
        "snapshot": facts.snapshot,
        "arguments": _arguments(node, facts, unknown),
        "params": {
            name: _argument(value, facts, unknown, name) for name, value in node.parameters.items()
        },
        "inputs": {port.name: _input(port, facts, unknown) for port in node.inputs},
        "outputs": {port.name: _output(port) for port in node.outputs},
        "environment": facts.environment,
        "asked": _asked(node, facts.locked),
        # Values may be secrets, and keys are kept for a long time where many can read them.
        "variables": {
            name: digest_of(value) for name, value in settings.environment_variables.items()
        },
        "compute": {
            "node_count": settings.node_count,
            "framework": settings.framework,
            "communicator": settings.communicator,
        },
        "salt": node.version,
        "hash_paths": _hash_paths(facts.hash_paths),
        "scope": "workspace" if facts.pipeline is None else {"pipeline": facts.pipeline},
        "extra": facts.extra,
    }
    if unknown:
        template["unknown"] = unknown
    return template


def complete(
    template: Mapping[str, Any], outputs: Outputs, names: Mapping[str, str] = {}
) -> Fingerprint:
    """The fingerprint of a step whose inputs are all there.

    Args:
        template: of :func:`key_template`.
        outputs: at least of the steps that it reads from.
        names: what a sentence calls these steps, by id; without it their ids.

    Raises:
        NoKey: something that the key is made of cannot be told.
    """
    record = dict(template)
    for sentence in record.pop("unknown", ()):
        raise NoKey(str(sentence))
    if record.get("version") != KEY_VERSION:
        raise NoKey("its key was made by another release.")
    record["inputs"] = {
        name: {**port, "content": _content(name, port["content"], outputs, names)}
        for name, port in record["inputs"].items()
    }
    try:
        return Fingerprint(record, digest_of(record))
    except (TypeError, ValueError, RecursionError) as error:
        raise NoKey(f"its key cannot be written down: {error}.") from error


def read_from(template: Mapping[str, Any]) -> list[str]:
    """The ids of the steps whose outputs a step reads."""
    contents = [port["content"] for port in template.get("inputs", {}).values()]
    return [content[_HOLE][0] for content in contents if isinstance(content, Mapping)]


def unknowable(spec: PipelineSpec) -> dict[str, dict[str, str]]:
    """Inputs whose content no key can hold, for :attr:`KeyFacts.unknown`: node id -> name -> why.

    A query's answer is not known before it is asked; of a dataset that a script hands on only the
    definition is kept, not what it holds.
    """
    links = {(node.id, port.name) for node in spec.nodes for port in node.outputs if port.link}
    names = {node.id: node.name for node in spec.nodes}
    result: dict[str, dict[str, str]] = {}
    for node in spec.nodes:
        for port in node.inputs:
            source: Any = port.source
            if source.kind == "query":
                why = f"input {port.name!r} is a query, whose answer may have changed."
            elif source.kind == "step_output" and (source.node, source.output) in links:
                why = (
                    f"input {port.name!r} is a dataset that step {names[source.node]!r} hands on, "
                    "whose data may have changed."
                )
            else:
                continue
            result.setdefault(node.id, {})[port.name] = why
    return result


def digest_of(value: Any) -> str:
    """``sha256:<hex>`` over the canonical text of a JSON value: sorted names, no spaces, ASCII.

    That text says every part's type and where it ends: 1, 1.0, "1" and True all differ, and so do
    ["a", "b"] and ["ab"]. The order of a dict's names does not count. Floats are written as the
    shortest text that gives the same float again; NaN equals itself; 0.0 and -0.0 differ, as their
    texts in argv do.

    Raises:
        TypeError: it holds what JSON does not.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return f"sha256:{hashlib.sha256(_HEADER + text.encode()).hexdigest()}"


def _content(name: str, content: Any, outputs: Outputs, names: Mapping[str, str]) -> str:
    if not isinstance(content, Mapping):
        return str(content)
    step, output = content[_HOLE]
    digest = outputs.get(step, {}).get(output)
    if not digest:
        shown = names.get(step, repr(step))
        raise NoKey(f"input {name!r}: step {shown} left no output {output!r} in this run.")
    return digest


def _arguments(node: NodeSpec, facts: KeyFacts, unknown: list[str]) -> list[Any]:
    flags = tuple(name for name in facts.ignored if name.startswith("-"))
    kept: list[Any] = []
    skip_value = False
    for argument in node.arguments:
        text: str | None = getattr(argument, "value", None)
        if skip_value:
            skip_value = False
            if text is None or not _is_flag(text):
                continue
        if text is not None and text in flags:
            skip_value = True
        elif text is None or not text.startswith(tuple(f"{flag}=" for flag in flags)):
            kept.append(_argument(argument, facts, unknown))
    return kept


def _is_flag(text: str) -> bool:
    if not text.startswith("-") or text == "-":
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False


def _argument(argument: Any, facts: KeyFacts, unknown: list[str], port: str = "") -> list[Any]:
    """One argument as typed parts: its kind, then what it holds or refers to."""
    if argument.kind == "text":
        return ["text"] if port in facts.ignored and port else ["text", argument.value]
    if argument.kind != "parameter":
        return [argument.kind, argument.name]
    if argument.name in facts.ignored or port in facts.ignored:
        return ["parameter", argument.name]
    if argument.name not in facts.parameters:
        unknown.append(f"the run has no parameter {argument.name!r}.")
        return ["parameter", argument.name]
    return ["parameter", argument.name, facts.parameters[argument.name]]


def _input(port: InputSpec, facts: KeyFacts, unknown: list[str]) -> Key:
    source: Any = port.source
    content: Any
    how: Mapping[str, Any]
    if source.kind == "step_output":
        content, how = {_HOLE: [source.node, source.output]}, _how(source)
    elif port.name in facts.inputs:
        given = facts.inputs[port.name]
        content, how = given.digest, given.definition or _how(source)
    else:
        content, how = "", {}
        if port.name not in facts.unknown:
            unknown.append(f"the content of input {port.name!r} is not known.")
    return {
        "mode": port.mode,
        "style": port.style,
        "path_on_compute": port.path_on_compute,
        "read": {name: value for name, value in how.items() if name in _READ and value},
        "content": content,
    }


_READ = ("kind", "reading", "operations", "partition_format", "query", "types")


def _how(source: Any) -> Key:
    from airflow_aml.codec import encode

    # A default is not written, so this is equal to the same definition read from plan.json.
    document: Key = encode(source)
    return document


def _output(port: OutputSpec) -> Key:
    return {
        "style": port.style,
        "mode": port.mode,
        "datastore": port.datastore,
        "path": port.path,
        "path_on_compute": port.path_on_compute,
        "overwrite": port.overwrite,
        "source_globs": list(port.source_globs),
        "is_directory": port.is_directory,
        "link": port.link,
    }


def _asked(node: NodeSpec, locked: bool) -> Key:
    """The software that the author asks for, less its name and the interpreter's path."""
    wanted = node.settings.environment
    if locked:
        return {"python": None, "pip": [], "conda": [], "image": wanted.image}
    return {
        "python": wanted.python_version,
        "pip": sorted(wanted.pip_packages),
        "conda": sorted(wanted.conda_packages),
        "image": wanted.image,
    }


def _hash_paths(paths: Mapping[str, str | None]) -> list[Sequence[Any]]:
    """Sorted (path as written, digest); of an absolute path its last part alone."""
    return sorted(
        ([_portable(path), digest] for path, digest in paths.items()),
        key=lambda each: (str(each[0]), str(each[1])),
    )


def _portable(path: str) -> str:
    path = path.replace("\\", "/")
    return posixpath.basename(path.rstrip("/")) if posixpath.isabs(path) else path
