"""Which step writes an output: what copies and views of one output have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, Tuple

from airflow_aml.definition.data.model import Registration

if TYPE_CHECKING:
    from airflow_aml.definition.step import PipelineStep


class Producer:
    """Which step writes an output, under which port name, and what it is registered as.

    All copies of one output share it, so what is asked of any copy holds for the output.
    """

    __slots__ = ("port", "registrations", "step")

    def __init__(self) -> None:
        self.step: Optional[PipelineStep] = None
        self.port: Optional[str] = None
        self.registrations: Tuple[Registration, ...] = ()

    def register(self, registration: Registration) -> None:
        """Notes a registration; a later one of the same name replaces an earlier one."""
        others = [each for each in self.registrations if each.name != registration.name]
        self.registrations = (*others, registration)
