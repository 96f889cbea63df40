"""Removes old runs and results from the workspace, once a week. Change the two parameters."""

from __future__ import annotations

from airflow.sdk import DAG, Param, task

with DAG(
    "aml_maintenance",
    description="Removes what the workspace needs no more.",
    schedule="@weekly",
    catchup=False,
    max_active_runs=1,
    params={
        "older_than_days": Param(30, type="integer", minimum=1),
        "keep_last": Param(3, type="integer", minimum=1),
    },
    tags=["azureml-v1"],
):

    @task
    def collect_garbage(params: dict[str, int]) -> dict[str, int]:
        from airflow_aml import Workspace
        from airflow_aml.airflow.settings import open_workspace
        from airflow_aml.reuse import gc
        from airflow_aml.reuse.roots import Keep

        home = open_workspace(Workspace().name)
        keep = Keep(older_than=params["older_than_days"] * 86400, keep_last=params["keep_last"])
        freed = gc.collect(home, gc.plan(home, keep))
        for sentence in freed.failed:
            print(sentence)
        things = f"{len(freed.items)} thing{'' if len(freed.items) == 1 else 's'}"
        done = f"{things} removed, {freed.bytes} bytes freed"
        print(done if freed.items else "nothing to do")
        return {"removed": len(freed.items), "bytes": freed.bytes}

    collect_garbage()
