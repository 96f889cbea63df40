"""A step's arguments as the script gets them: a list of texts, never joined into a shell's line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, List, Mapping, cast

from airflow_aml.errors import UserErrorException

if TYPE_CHECKING:
    from airflow_aml.runtime.arguments import InputRef, JobArgument, Text


def build(
    arguments: Iterable[JobArgument], inputs: Mapping[str, str], outputs: Mapping[str, str]
) -> List[str]:
    """Each argument as text; references become the paths (or ids) of their ports.

    Raises:
        UserErrorException: an argument refers to a port that the step does not have.
    """
    return [_text(argument, inputs, outputs) for argument in arguments]


def _text(argument: JobArgument, inputs: Mapping[str, str], outputs: Mapping[str, str]) -> str:
    # By kind, not by class: the runtime reads its job without importing the classes.
    if argument.kind == "text":
        return cast("Text", argument).value
    ports = inputs if argument.kind == "input" else outputs
    name = cast("InputRef", argument).name
    if name not in ports:
        raise UserErrorException(
            f"an argument refers to the {argument.kind} {name!r}, "
            f"and the step has {', '.join(map(repr, ports)) or 'none'}."
        )
    return ports[name]
