"""Starts a run of a published pipeline over REST and waits for its end.

python submit.py ADDRESS [NAME=VALUE ...]

ADDRESS is what ``published.endpoint`` or ``endpoint.endpoint`` says. AIRFLOW_AML_API_URL is the
address of the server, AIRFLOW_AML_API_USER and AIRFLOW_AML_API_PASSWORD are a user's there.
"""

import os
import sys
import time

import requests

PATIENCE = 60  # seconds for one call


def main(address: str, *pairs: str) -> int:
    server = os.environ["AIRFLOW_AML_API_URL"].rstrip("/")
    login = {
        "username": os.environ["AIRFLOW_AML_API_USER"],
        "password": os.environ["AIRFLOW_AML_API_PASSWORD"],
    }
    token = requests.post(f"{server}/auth/token", json=login, timeout=PATIENCE)
    token.raise_for_status()
    headers = {"Authorization": f"Bearer {token.json()['access_token']}"}

    body = {
        "ExperimentName": "rest",
        "ParameterAssignments": dict(pair.split("=", 1) for pair in pairs),
    }
    answer = requests.post(address, headers=headers, json=body, timeout=PATIENCE)
    if not answer.ok:
        print(answer.json()["Error"]["Message"], file=sys.stderr)
        return 1
    run = answer.json()
    for warning in run["Warnings"]:
        print(warning, file=sys.stderr)
    print("started run", run["Id"])

    runs = address[: address.index("/PipelineRuns/")] + "/PipelineRuns"
    status = ""
    while status not in ("Finished", "Failed", "Canceled"):
        time.sleep(2)
        told = requests.get(f"{runs}/{run['Id']}", headers=headers, timeout=PATIENCE)
        told.raise_for_status()
        status = told.json()["Status"]["StatusCode"]
    print(status)
    return 0 if status == "Finished" else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
