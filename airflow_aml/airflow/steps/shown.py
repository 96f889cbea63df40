"""What Airflow shows of a step: its command line, and why its script failed."""

from __future__ import annotations

import shlex
from typing import Any

from airflow_aml.definition.spec import NodeSpec, ParameterRef, Text
from airflow_aml.runtime.job import InputRef, StepJob, StepReport


def failure_text(name: str, report: StepReport) -> str:
    """What a failed script's task says: exit code and the last lines of stderr."""
    lines = [f"step {name!r}: {report.message or f'the script ended with {report.exit_code}.'}"]
    if report.stderr_tail:
        lines.append("The last lines of its stderr:")
        lines.extend(f"    {line}" for line in report.stderr_tail)
    return "\n".join(lines)


def shown_command(node: NodeSpec, job: StepJob | None = None) -> str:
    """The command line of a step as Airflow shows it.

    Before a run, references show as ``<input name>``; in a run, as what they stand for.
    """
    words = ["python", node.script_name]
    if job is None:
        words += [a.value if isinstance(a, Text) else _placeholder(a) for a in node.arguments]
    else:
        paths = {
            port.name: port.paths[0] if port.exact else f"<{port.name}>" for port in job.inputs
        }
        staged = {port.name: port.staging for port in job.outputs}
        for argument in job.arguments:
            if isinstance(argument, Text):
                words.append(argument.value)
            elif isinstance(argument, InputRef):
                words.append(paths[argument.name])
            else:
                words.append(staged[argument.name])
    return shlex.join(words)


def _placeholder(argument: Any) -> str:
    kind = "parameter" if isinstance(argument, ParameterRef) else argument.kind
    return f"<{kind} {argument.name}>"
