"""``airflow-aml schedule``: what files declare, what the workspace knows, and turning it on or off.

Airflow is not imported.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_aml.cli.sources import load_source, source_files
from airflow_aml.cli.tables import json_text
from airflow_aml.definition.schedule_slots import following, next_run
from airflow_aml.definition.schedule_zones import zone_of
from airflow_aml.errors import UserErrorException

if TYPE_CHECKING:
    from airflow_aml.definition.schedule import Schedule
    from airflow_aml.definition.schedule_spec import ScheduleSpec

_MOST = 1000


def add_schedule(verbs: Any) -> None:
    """Adds ``schedule show PATH``, ``schedule list``, ``schedule enable`` and ``disable``."""
    parser = verbs.add_parser("schedule", help="when pipelines run by themselves")
    parts = parser.add_subparsers(title="verbs", required=True, metavar="VERB")
    show = parts.add_parser("show", help="the schedules that a file or folder declares")
    show.add_argument("path", metavar="PATH")
    show.add_argument(
        "--count", type=int, default=3, metavar="N", help="how many times to come (3)"
    )
    known = parts.add_parser("list", help="the workspace's schedules; each from its first run on")
    turned = [
        parts.add_parser("enable", help="lets Airflow start a schedule's runs again"),
        parts.add_parser("disable", help="lets Airflow start no more of them"),
    ]
    for each in turned:
        each.add_argument("schedule", metavar="SCHEDULE", help="its name or id")
    for each, verb in ((show, _show), (known, _list), (turned[0], _enable), (turned[1], _disable)):
        each.add_argument("--json", action="store_true", help="one JSON object")
        each.set_defaults(verb=verb)


def _show(arguments: argparse.Namespace) -> int:
    if not 0 <= arguments.count <= _MOST:
        raise UserErrorException(f"--count is 0 to {_MOST}, not {arguments.count}.")
    rows: list[dict[str, Any]] = []
    errors: list[dict[str, str]] = []
    root = arguments.path if os.path.isdir(arguments.path) else os.path.dirname(arguments.path)
    for path in source_files(arguments.path):
        try:
            with redirect_stdout(sys.stderr):  # what a file prints is no answer of ours
                file = load_source(path, root or ".")
        except UserErrorException as error:
            errors.append({"file": path, "error": str(error)})
            continue
        found = [(dag_id, item.schedule) for dag_id, item in file.declared()]
        found += [(dag_id, item.schedule) for dag_id, item in file.endpoint_schedules()]
        for dag_id, schedule in found:
            if schedule:
                rows.append(_row(schedule, dag_id, path, arguments.count))
    if arguments.json:
        print(json_text({"schedules": rows, "errors": errors}))
    else:
        print("\n".join(_lines(rows)) or "no schedules")
        for each in errors:
            print(f"airflow-aml: {each['file']}: {each['error']}", file=sys.stderr)
    return 1 if errors else 0


def _row(schedule: ScheduleSpec, dag_id: str, path: str, count: int) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "id": schedule.id,
        "dag_id": dag_id,
        "file": path,
        "status": schedule.status,
        "recurrence": schedule.words,
        "parameters": schedule.parameters,
        "next": [each.isoformat() for each in _times(schedule, count)],
    }


def _times(schedule: ScheduleSpec, count: int) -> Iterator[datetime]:
    """The times to come, on the clock of the recurrence; data has none."""
    if schedule.data is not None:
        return
    recurrence = schedule.recurrence
    now, zone = datetime.now(UTC), zone_of(recurrence.time_zone)
    moment = following(recurrence, now) if recurrence.start else next_run(recurrence, None, now)
    for _ in range(count):
        if moment is None:
            return
        yield moment.astimezone(zone)
        moment = following(recurrence, moment, moment)


def _lines(rows: list[dict[str, Any]]) -> Iterator[str]:
    for row in rows:
        state = "" if row["status"] == "Active" else f", {row['status'].lower()}"
        yield f"{row['name']}  (DAG {row['dag_id']}, {row['file']}{state})"
        yield f"    {row['recurrence']}"
        if row["parameters"]:
            pairs = ", ".join(f"{name}={value!r}" for name, value in row["parameters"].items())
            yield f"    parameters: {pairs}"
        yield from (f"    {moment}" for moment in row["next"])


def _list(arguments: argparse.Namespace) -> int:
    found = _known()
    rows = [
        {
            "name": each.name,
            "id": each.id,
            "dag_id": each.dag_id,
            "status": each.status,
            "recurrence": each.words,
        }
        for each in found
    ]
    if arguments.json:
        print(json_text({"schedules": rows}))
        return 0
    for row in rows:
        print(f"{row['status']:<8}  {row['name']}  (DAG {row['dag_id']}, {row['id']})")
        print(f"          {row['recurrence']}")
    if not rows:
        print("no schedules: what a file declares is listed from its first run on")
    return 0


def _enable(arguments: argparse.Namespace) -> int:
    schedule = _one(arguments.schedule)
    schedule.enable()
    return _turned(schedule, arguments)


def _disable(arguments: argparse.Namespace) -> int:
    schedule = _one(arguments.schedule)
    schedule.disable()
    return _turned(schedule, arguments)


def _turned(schedule: Schedule, arguments: argparse.Namespace) -> int:
    if arguments.json:
        print(json_text({"id": schedule.id, "name": schedule.name, "status": schedule.status}))
    else:
        print(f"{schedule.name} is {schedule.status}")
    return 0


def _known() -> list[Schedule]:
    from airflow_aml.definition.schedule import Schedule
    from airflow_aml.definition.workspace import Workspace

    return Schedule.list(Workspace(), active_only=False)


def _one(wanted: str) -> Schedule:
    known = _known()
    found = [each for each in known if wanted in (each.id, each.name)]
    if len(found) == 1:
        return found[0]
    if found:
        ids = ", ".join(each.id for each in found)
        raise UserErrorException(f"several schedules are called {wanted!r}.", hint=f"Ids: {ids}.")
    names = ", ".join(sorted({each.name for each in known})) or "none"
    raise UserErrorException(f"there is no schedule {wanted!r}; there is {names}.")
