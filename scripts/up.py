"""Start a real Airflow with the templates and leave it running until Ctrl-C (``make up``)."""

from __future__ import annotations

import json
import sys
import time

from scripts import templates
from scripts.airflow_home import HomeInUseError
from scripts.local_airflow import AirflowDiedError, LocalAirflow

SETTINGS = {
    **templates.AML_SETTINGS,
    # Beside the DAGs folder, what is published and scheduled in the workspace.
    "dag_processor.dag_bundle_config_list": json.dumps(
        [
            {
                "name": "dags-folder",
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {},
            },
            {
                "name": "azureml-v1",
                "classpath": "airflow_aml.airflow.bundle.AmlDagBundle",
                "kwargs": {"refresh_interval": 5},
            },
        ]
    ),
}


def describe(airflow: LocalAirflow) -> str:
    """Where it is and how to get in."""
    return "\n".join(
        [
            "",
            f"  address      {airflow.url}",
            f"  user         {airflow.user}",
            f"  password     {airflow.password}",
            f"  DAGs folder  {airflow.dags_folder}",
            f"  workspace    {airflow.home.workspace}",
            f"  logs         {airflow.home.path / 'logs'}",
            "",
            "A pipeline file that is put into the DAGs folder shows up within about 10 seconds,",
            "and so does what a program publishes in the workspace.",
            "Ctrl-C ends Airflow; its runs are there again at the next start.",
        ]
    )


def main() -> int:
    """Start, wait for Ctrl-C, stop; the exit code."""
    for name in templates.names():
        templates.copy(name, templates.HOME / "dags", replace=False)
    print(f"Starting Airflow in {templates.HOME}", flush=True)
    try:
        with LocalAirflow(templates.HOME, extra_settings=SETTINGS) as airflow:
            print(describe(airflow), flush=True)
            while True:
                airflow.check()
                time.sleep(1)
    except KeyboardInterrupt:
        print("\nAirflow is shut down.")
        return 0
    except (AirflowDiedError, HomeInUseError, TimeoutError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
