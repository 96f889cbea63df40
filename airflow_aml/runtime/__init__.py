"""What runs around a step's script, in the step's own process."""

JOB_VERSION = 1

RUNTIME_ERROR = 121
"""Exit code when the runtime, not the script, failed; the report says how."""

COOKIE = "AIRFLOW_AML_ATTEMPT"
"""Environment variable that marks every process of one attempt, so that all can be found."""

RECORD_VARIABLE = "AIRFLOW_AML_RECORD"
"""Environment variable with the local folder that the script's record grows in."""

STORES_VARIABLE = "AIRFLOW_AML_STORES"
"""Environment variable with what opens remote stores; see ``workspace.credentials``."""


def is_uri(place: str) -> bool:
    """Whether a place in a job is a URI of a remote store; else it is an absolute local path."""
    return place[:1] != "/" and "://" in place
