"""What a step's inputs hold when its turn comes: a step before it may have written there.

An author who orders two steps with ``run_after`` may have one of them publish, upload or write by
itself what the other reads as a dataset; the plan was made before that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.inputs import content_of

if TYPE_CHECKING:
    from airflow_aml.reuse.walk import WalkStep
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.plans import PlannedInput


def renewed(
    step: WalkStep, inputs: Mapping[str, PlannedInput], home: Home, folder: str
) -> WalkStep:
    """The step, with the digests of its inputs as they are now.

    A step that waits for none is left as it is: it was planned a moment ago.

    Args:
        inputs: by port name, those that no step of the pipeline writes.
        folder: absolute; local paths of their definitions start here.
    """
    if not step.upstream or not inputs or not step.key or step.key.get("unknown"):
        return step
    ports = dict(step.key["inputs"])
    for name, each in inputs.items():
        try:
            content = content_of(each.definition, home, folder)
            if content != ports[name]["content"]:  # a reason is to name the files that changed
                content = content_of(each.definition, home, folder, keep=True)
        except (AirflowAmlError, OSError) as error:
            said = f"input {name!r} cannot be read any more: {error}"
            return replace(step, key={**step.key, "unknown": [said]})
        ports[name] = {**ports[name], "content": content}
    return replace(step, key={**step.key, "inputs": ports})
