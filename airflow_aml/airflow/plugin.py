"""The Airflow plugin of this package."""

from __future__ import annotations

from airflow.sdk.plugins_manager import AirflowPlugin

from airflow_aml.airflow import listener


class AmlPlugin(AirflowPlugin):
    """Registers what Airflow only learns from plugins."""

    name = "aml"
    listeners = [listener]
