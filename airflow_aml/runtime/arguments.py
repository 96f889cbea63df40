"""What a script's command line is made of, in a pipeline's definition and in a step's job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Union


@dataclass(frozen=True)
class Text:
    """A literal argument, as text."""

    value: str
    kind: str = "text"


@dataclass(frozen=True)
class InputRef:
    """An argument that becomes the path (or dataset id) of one of the step's inputs."""

    name: str
    kind: str = "input"


@dataclass(frozen=True)
class OutputRef:
    """An argument that becomes the local path of one of the step's outputs."""

    name: str
    kind: str = "output"


JobArgument = Union[Text, InputRef, OutputRef]
