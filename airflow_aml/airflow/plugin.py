"""The Airflow plugin of this package."""

from __future__ import annotations

from airflow.sdk.plugins_manager import AirflowPlugin


class AmlPlugin(AirflowPlugin):
    """Registers what Airflow only learns from plugins."""

    name = "aml"
