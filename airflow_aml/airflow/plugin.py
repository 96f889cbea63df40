"""The Airflow plugin of this package."""

from __future__ import annotations

from airflow.sdk.plugins_manager import AirflowPlugin

from airflow_aml.airflow import listener
from airflow_aml.airflow.links import MlflowLink, ReusedResultLink, RunFilesLink, RunFolderLink
from airflow_aml.airflow.refusing import RefusingTimetable
from airflow_aml.airflow.timetable import RecurrenceTimetable
from airflow_aml.airflow.v1api import PREFIX, V1Api


class AmlPlugin(AirflowPlugin):
    """Registers what Airflow only learns from plugins."""

    name = "aml"
    listeners = [listener]
    operator_extra_links = [ReusedResultLink(), RunFolderLink(), RunFilesLink(), MlflowLink()]
    timetables = [RecurrenceTimetable, RefusingTimetable]
    fastapi_apps = [{"app": V1Api(), "url_prefix": PREFIX, "name": "Azure ML SDK v1"}]
