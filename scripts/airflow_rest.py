"""The calls of Airflow's REST API that the demo, the tests and the benchmarks make."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import httpx

Document = dict[str, Any]
Check = Callable[[], None]
TERMINAL_RUN_STATES = frozenset({"success", "failed"})
PAGE = 100

# Before it does anything, Airflow notes in its database who asked, and holds up all other requests
# meanwhile. On SQLite it gives up after 5 s if one of those just then has the database locked.
DATABASE_TRIES = 5


class AirflowRestError(RuntimeError):
    """Airflow answered with an error; the text carries its answer."""


def log_lines(message: Document | str) -> Iterator[str]:
    """One message of a task log as text: what it says, then the errors it carries."""
    if isinstance(message, str):
        yield message
        return
    yield str(message.get("event", ""))
    for error in message.get("error_detail") or []:
        yield f"{error['exc_type']}: {error['exc_value']}"


class AirflowRest:
    """A client that logs in by itself and reads every page of a list."""

    def __init__(
        self, url: str, user: str, password: str, check: Check = lambda: None, timeout: float = 120
    ) -> None:
        self.url = url
        self._login = {"username": user, "password": password}
        self._check = check
        self._client = httpx.Client(base_url=url, timeout=timeout, trust_env=False)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # -- the calls ---------------------------------------------------------------------------------

    def health(self) -> dict[str, Document]:
        """The four parts and their states. Needs no login."""
        answer = self._client.get("/api/v2/monitor/health", timeout=10)
        answer.raise_for_status()
        return dict(answer.json())

    def dags(self, tag: str | None = None) -> list[Document]:
        """Every DAG that is not stale; with a tag, those that carry it."""
        return list(self._pages("dags", "dags", {"tags": tag} if tag else {}))

    def import_errors(self) -> list[Document]:
        """Every file that could not be loaded: ``filename`` and ``stack_trace``."""
        return list(self._pages("importErrors", "import_errors"))

    def dag_details(self, dag_id: str) -> Document:
        """One DAG with its params."""
        return self._call("GET", f"dags/{quote(dag_id)}/details")

    def tasks(self, dag_id: str) -> list[Document]:
        """The tasks of a DAG: ``task_id``, ``task_display_name``, ..."""
        return list(self._call("GET", f"dags/{quote(dag_id)}/tasks")["tasks"])

    def unpause(self, pattern: str) -> None:
        """Let the runs of all DAGs begin in whose ids the pattern is found."""
        self._call("PATCH", f"dags?dag_id_pattern={quote(pattern)}", {"is_paused": False})

    def trigger(self, dag_id: str, conf: Document | None = None) -> str:
        """Start a run and return its run id."""
        body = {"logical_date": None, "conf": conf or {}}
        return str(self._call("POST", f"dags/{quote(dag_id)}/dagRuns", body)["dag_run_id"])

    def dag_run(self, dag_id: str, run_id: str) -> Document:
        """One run: ``state``, ``start_date``, ``end_date``, ``conf``, ..."""
        return self._call("GET", self._run_path(dag_id, run_id))

    def dag_runs(self, dag_id: str) -> list[Document]:
        """Every run of a DAG."""
        return list(self._pages(f"dags/{quote(dag_id)}/dagRuns", "dag_runs"))

    def task_instances(self, dag_id: str, run_id: str) -> list[Document]:
        """Every task of a run: ``task_id``, ``task_display_name``, ``state``, ``duration``, ..."""
        path = f"{self._run_path(dag_id, run_id)}/taskInstances"
        return list(self._pages(path, "task_instances"))

    def task_instance(self, dag_id: str, run_id: str, task_id: str) -> Document:
        """One task of a run: ``state``, ``try_number``, ``rendered_fields``, ..."""
        return self._call("GET", self._task_path(dag_id, run_id, task_id))

    def mark_task(self, dag_id: str, run_id: str, task_id: str, state: str) -> None:
        """Give a task another state; one that runs is ended by Airflow."""
        self._call("PATCH", self._task_path(dag_id, run_id, task_id), {"new_state": state})

    def mark_run(self, dag_id: str, run_id: str, state: str) -> None:
        """Give a run another state; what runs of it is ended by Airflow."""
        self._call("PATCH", self._run_path(dag_id, run_id), {"state": state})

    def clear(self, dag_id: str, run_id: str, task_id: str) -> None:
        """Have a task, and all that comes after it, run again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": [task_id],
            "include_downstream": True,
            "only_failed": False,
        }
        self._call("POST", f"dags/{quote(dag_id)}/clearTaskInstances", body)

    def xcoms(self, dag_id: str, run_id: str, task_id: str) -> Document:
        """What a task handed on, by key."""
        path = f"{self._task_path(dag_id, run_id, task_id)}/xcomEntries"
        keys = [entry["key"] for entry in self._pages(path, "xcom_entries")]
        return {key: self._call("GET", f"{path}/{quote(key)}")["value"] for key in keys}

    def task_log(self, dag_id: str, run_id: str, task_id: str, attempt: int = 1) -> str:
        """The lines of a task's log, as text."""
        task = self._task_path(dag_id, run_id, task_id)
        answer = self._call("GET", f"{task}/logs/{attempt}?full_content=true")
        return "\n".join(text for line in answer["content"] for text in log_lines(line))

    # -- waiting -----------------------------------------------------------------------------------

    def wait_until(self, what: str, found: Callable[[], Any], timeout: float = 120) -> Any:
        """Ask until the answer is true, and return it. Also ends when Airflow itself ended."""
        deadline = time.monotonic() + timeout
        while True:
            self._check()
            if answer := found():
                return answer
            if time.monotonic() > deadline:
                raise TimeoutError(f"Waited {timeout:.0f} s for {what}")
            time.sleep(0.3)

    def wait_for_dag(self, dag_id: str, timeout: float = 120) -> Document:
        """Wait until the DAG of that id can be triggered, and return it."""
        return self.wait_for_dag_where(
            f"the DAG {dag_id!r}", lambda dag: dag["dag_id"] == dag_id, timeout
        )

    def wait_for_dag_where(
        self, what: str, wanted: Callable[[Document], bool], timeout: float = 120
    ) -> Document:
        """Wait until a DAG fits; an import error that is there at the deadline is told."""
        try:
            dag: Document = self.wait_until(
                what, lambda: next(filter(wanted, self.dags()), None), timeout
            )
        except TimeoutError as error:
            traces = [f"{e['filename']}\n{e['stack_trace']}" for e in self.import_errors()]
            raise TimeoutError("\n".join([str(error), *traces])) from None
        return dag

    def wait(
        self,
        dag_id: str,
        run_id: str,
        on_change: Callable[[Document], None] = lambda task_instance: None,
        timeout: float = 600,
    ) -> Document:
        """Wait until the run ends and return it; tell each task instance whose state changed."""
        known: dict[tuple[str, int], str | None] = {}

        def ended() -> Document | None:
            run = self.dag_run(dag_id, run_id)  # asked first: its end is told after its tasks'
            for task in self.task_instances(dag_id, run_id):
                key = (task["task_id"], task["map_index"])
                if known.get(key) != task["state"]:
                    known[key] = task["state"]
                    on_change(task)
            return run if run["state"] in TERMINAL_RUN_STATES else None

        run: Document = self.wait_until(f"the run {run_id!r} of {dag_id!r}", ended, timeout)
        return run

    # -- the wire ----------------------------------------------------------------------------------

    def get(self, path: str) -> httpx.Response:
        """Any address of the server, logged in. Does not judge the answer."""
        return self._request("GET", path)

    def _run_path(self, dag_id: str, run_id: str) -> str:
        return f"dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"

    def _task_path(self, dag_id: str, run_id: str, task_id: str) -> str:
        return f"{self._run_path(dag_id, run_id)}/taskInstances/{quote(task_id)}"

    def _pages(self, path: str, key: str, query: Document | None = None) -> Iterator[Document]:
        offset = 0
        while True:
            parameters = httpx.QueryParams({**(query or {}), "limit": PAGE, "offset": offset})
            entries = self._call("GET", f"{path}?{parameters}")[key]
            yield from entries
            offset += len(entries)
            if len(entries) < PAGE:
                return

    def _call(self, method: str, path: str, body: Document | None = None) -> Document:
        answer = self._request(method, f"/api/v2/{path}", body)
        for _ in range(DATABASE_TRIES - 1):
            if answer.is_success or "Database error" not in answer.text:
                break
            answer = self._request(method, f"/api/v2/{path}", body)
        if answer.is_error:
            raise AirflowRestError(f"{method} {path}: {answer.status_code} {answer.text[:2000]}")
        return dict(answer.json())

    def _request(self, method: str, path: str, body: Document | None = None) -> httpx.Response:
        if "Authorization" not in self._client.headers:
            self._log_in()
        answer = self._client.request(method, path, json=body)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._log_in()
            answer = self._client.request(method, path, json=body)
        return answer

    def _log_in(self) -> None:
        answer = self._client.post("/auth/token", json=self._login)
        if answer.is_error:
            raise AirflowRestError(f"Log-in failed: {answer.status_code} {answer.text[:500]}")
        self._client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
