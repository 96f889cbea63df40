"""What runs around a step's script, in the step's own process."""

JOB_VERSION = 1

RUNTIME_ERROR = 121
"""Exit code when the runtime, not the script, failed; the report says how."""

COOKIE = "AIRFLOW_AML_ATTEMPT"
"""Environment variable that marks every process of one attempt, so that all can be found."""
