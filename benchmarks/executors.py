"""Steps at once and steps in a chain with Airflow's LocalExecutor and with Celery workers.

``python -m benchmarks.executors`` writes what it measures into docs/scale.md. The same two
pipelines each time, on PostgreSQL: steps that wait for a second each, which shows how many go at
once, and a chain of steps that do nothing, which shows the way from one to the next.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks.chain import wait_for_quiet
from benchmarks.report import Report, write
from scripts import templates
from scripts.local_airflow import LocalAirflow
from scripts.postgresql import PostgreSql
from scripts.redis_server import Redis

PAGE = templates.PROJECT / "docs" / "scale.md"
HOME = templates.PROJECT / ".airflow" / "bench-executors"
WIDE, LONG = 24, 6
SLOTS = 4
ROUNDS = 3

FILE = """
# airflow dag
from airflow_aml import Pipeline, PipelineParameter, PythonScriptStep
turn = PipelineParameter("turn", 0)

def step(script, number):
    return PythonScriptStep(
        script, name=f"{{script}} {{number:02}}", source_directory="src", arguments=[number, turn])

wide = Pipeline("bench", [step("wait.py", n) for n in range({wide})]).to_dag("wide")
links = [step("nothing.py", n) for n in range({long})]
for before, after in zip(links, links[1:]):
    after.run_after(before)
long = Pipeline("bench", links).to_dag("long")
"""


@dataclass(frozen=True)
class Site:
    """One way to run tasks: its title, settings, and workers."""

    title: str
    settings: Mapping[str, str]
    workers: Mapping[str, str]


@dataclass(frozen=True)
class Measured:
    """Seconds of the two pipelines, between steps, and MB of the scheduler and of a worker."""

    wide: float
    long: float
    between: float
    scheduler: float
    worker: float


def sites(database: str, broker: str) -> list[Site]:
    """Those that are compared."""
    common = {
        **templates.AML_SETTINGS,
        "core.parallelism": "32",
        "database.sql_alchemy_conn": database,
        "database.sql_alchemy_conn_async": database,
        "celery.broker_url": broker,
        "celery.result_backend": f"db+{database}",
        "celery.worker_concurrency": str(SLOTS),
    }
    celery = {**common, "core.executor": "CeleryExecutor"}
    names = [f"worker-{number}" for number in (1, 2)]
    return [
        Site(f"LocalExecutor, {SLOTS} at once", {**common, "core.parallelism": str(SLOTS)}, {}),
        Site(f"Celery, 1 worker of {SLOTS}", celery, dict.fromkeys(names[:1], "default")),
        Site(f"Celery, 2 workers of {SLOTS}", celery, dict.fromkeys(names, "default")),
    ]


def run() -> Report:
    """Starts an Airflow for each, one after the other."""
    rows = []
    for number in range(3):
        with ExitStack() as stack:
            database = stack.enter_context(PostgreSql())
            broker = stack.enter_context(Redis())
            site = sites(database.address, broker.address)[number]
            found = measured(site)
        print(f"  {site.title}: {found}", file=sys.stderr, flush=True)
        rows.append(
            [
                site.title,
                f"{found.wide:.1f}",
                f"{found.long:.1f}",
                f"{found.between:.2f}",
                f"{found.scheduler:.0f}",
                f"{found.worker:.0f}" if found.worker else "",
            ]
        )
    header = (
        "",
        f"{WIDE} steps of 1 s, s",
        f"chain of {LONG}, s",
        "from one step to the next, s",
        "scheduler, MB",
        "worker, MB",
    )
    return Report(header, rows, ())


def measured(site: Site) -> Measured:
    """Both pipelines in one Airflow; the median of the rounds."""
    if HOME.exists():
        shutil.rmtree(HOME)
    airflow = LocalAirflow(HOME, extra_settings=site.settings, workers=site.workers)
    write_dags(airflow.dags_folder)
    with airflow:
        for name in ("wide", "long"):
            airflow.rest.wait_for_dag(name)
            tasks_of(airflow, name, 0)  # warm up
        wide, chains, hops = [], [], []
        for turn in range(1, ROUNDS + 1):
            wait_for_quiet(patience=20)
            wide.append(span(tasks_of(airflow, "wide", turn)))
            links = tasks_of(airflow, "long", turn)
            chains.append(span(links))
            hops += between(links)
        memory = {name: megabytes(airflow, name) for name in ("scheduler", *site.workers)}
    worker = max((memory[name] for name in site.workers), default=0.0)
    return Measured(median(wide), median(chains), median(hops), memory["scheduler"], worker)


def write_dags(folder: Path) -> None:
    """The pipelines and their scripts."""
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "wait.py").write_text("import time\ntime.sleep(1)\n")
    (folder / "src" / "nothing.py").write_text("pass\n")
    (folder / "pipelines.py").write_text(FILE.format(wide=WIDE, long=LONG))


def tasks_of(airflow: LocalAirflow, dag_id: str, turn: int) -> list[Any]:
    """Runs it to its good end; its steps in the order in which they began."""
    run_id = airflow.rest.trigger(dag_id, {"turn": turn})
    state = airflow.rest.wait(dag_id, run_id)["state"]
    assert state == "success", (dag_id, state)
    tasks = [
        each for each in airflow.rest.task_instances(dag_id, run_id) if each["task_id"] != "reuse"
    ]
    return sorted(tasks, key=lambda each: str(each["start_date"]))


def moment(text: str) -> float:
    """A time of Airflow's as seconds."""
    return datetime.fromisoformat(text).timestamp()


def span(tasks: list[Any]) -> float:
    """Seconds from the first start to the last end."""
    starts = [moment(each["start_date"]) for each in tasks]
    return max(moment(each["end_date"]) for each in tasks) - min(starts)


def between(tasks: list[Any]) -> list[float]:
    """Seconds from each end to the next start."""
    return [
        moment(after["start_date"]) - moment(before["end_date"])
        for before, after in pairwise(tasks)
    ]


def megabytes(airflow: LocalAirflow, name: str) -> float:
    """What an idle part and all its processes hold for themselves."""
    first = psutil.Process(airflow.pid_of(name))
    family = [first, *first.children(recursive=True)]
    return sum(each.memory_full_info().uss for each in family) / 1e6


if __name__ == "__main__":
    found = run()
    write("executors", found, PAGE)
    print(found.markdown())
