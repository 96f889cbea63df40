"""What reuse does, as counters among Airflow's own metrics: StatsD, Datadog or OpenTelemetry."""

from __future__ import annotations

from collections.abc import Iterable

from airflow.sdk import conf, get_current_context
from airflow.sdk.observability import stats

STEPS_REUSED = "aml.reuse.steps_reused"
SECONDS_SAVED = "aml.reuse.seconds_saved"
STEPS_RUN = "aml.reuse.steps_run"

_SWITCHES = ("statsd_on", "statsd_datadog_enabled", "otel_on")


def count_reused(seconds: Iterable[float]) -> None:
    """Counts steps of the current task's DAG whose results are used.

    Args:
        seconds: how long each had taken when it ran. Counters are whole numbers, so what all of
            them save together is rounded.
    """
    if _are_on():
        saved = list(seconds)
        _count(STEPS_REUSED, len(saved))
        _count(SECONDS_SAVED, round(sum(saved)))


def count_run() -> None:
    """Counts a step that ran to its end."""
    if _are_on():
        _count(STEPS_RUN, 1)


def _are_on() -> bool:
    # Where they are off even the names of Airflow's metrics need not be read.
    return any(conf.getboolean("metrics", name, fallback=False) for name in _SWITCHES)


def _count(name: str, count: int) -> None:
    stats.incr(name, count, tags={"dag_id": get_current_context()["ti"].dag_id})
