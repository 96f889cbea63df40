"""Texts that can be written down: half characters, as ``os.listdir`` gives them, cannot be."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Mapping, Optional, Tuple

from airflow_aml.definition.spec import DEFAULT_REUSE, DEFAULT_SETTINGS, StepOutput
from airflow_aml.errors import PipelineDefinitionError

if TYPE_CHECKING:
    from airflow_aml.definition.spec import NodeSpec
    from airflow_aml.definition.step import PipelineStep

LONGEST_ARGUMENT = 128 * 1024 - 1
"""Linux takes no longer one (MAX_ARG_STRLEN), in bytes; here, characters."""


def check_text(text: str, where: Optional[str]) -> str:
    """``text``, if it is one that a file or a message can hold.

    Raises:
        PipelineDefinitionError: it holds a lone surrogate.
    """
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise PipelineDefinitionError(
                f"{text!r} is no text: {text[error.start]!r} is half a character.",
                where=where,
                hint="File names that are not UTF-8 look like that. Rename the file, or write the "
                "text anew.",
            ) from None
    return text


def check_argument(text: str, where: str) -> str:
    """``text``, if a script can get it.

    Raises:
        PipelineDefinitionError: a command line cannot hold it.
    """
    if "\0" in text:
        raise PipelineDefinitionError("an argument cannot hold a NUL character.", where=where)
    if len(text) > LONGEST_ARGUMENT:
        raise PipelineDefinitionError(
            f"an argument of {len(text)} characters is longer than a command line can hold.",
            where=where,
            hint="Put it into a file of the source folder, or hand it on as data.",
        )
    return check_text(text, where)


def check_texts_in(value: Any, where: str) -> None:
    """Checks all texts in a value: names and values of dicts, members, fields.

    Raises:
        PipelineDefinitionError: one is no text; ``where`` and the way to it are named.
    """
    if isinstance(value, str):
        check_text(value, where)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            check_texts_in(name, where)
            check_texts_in(item, f"{where}[{name!r}]")
    elif isinstance(value, (tuple, list)):
        for number, item in enumerate(value):
            check_texts_in(item, f"{where}[{number}]")
    elif is_dataclass(value):
        for name in _names(value.__class__):
            item = getattr(value, name)
            if item:
                check_texts_in(item, f"{where}.{name}")


def check_node(node: NodeSpec, step: PipelineStep) -> None:
    """Checks what a step was given beside its name and arguments, which were checked before.

    Raises:
        PipelineDefinitionError: it is no text.
    """
    # Of most steps there is nothing here that an author wrote, so that is all that is asked.
    if not (node.script_name.isascii() and node.source_directory.isascii()):
        check_texts_in([node.script_name, node.source_directory], f"{step.where}, script")
    for port in node.inputs:
        if port.path_on_compute or not isinstance(port.source, StepOutput):
            check_texts_in(port, f"{step.where}, input {port.name!r}")
    for output in node.outputs:
        if output.path or output.path_on_compute or output.registrations or output.source_globs:
            check_texts_in(output, f"{step.where}, output {output.name!r}")
    if node.parameters or node.compute or node.version or node.hash_paths:
        check_texts_in(node.parameters, f"{step.where}, params")
        check_texts_in(node.compute, f"{step.where}, compute_target")
        check_texts_in(node.version, f"{step.where}, version")
        check_texts_in(node.hash_paths, f"{step.where}, hash_paths")
    if node.settings is not DEFAULT_SETTINGS:
        check_texts_in(node.settings, f"{step.where}, runconfig")
    if node.reuse is not DEFAULT_REUSE:
        check_texts_in(node.reuse, f"{step.where}, reuse")


@lru_cache(maxsize=None)
def _names(cls: Any) -> Tuple[str, ...]:
    return tuple(field.name for field in fields(cls))
