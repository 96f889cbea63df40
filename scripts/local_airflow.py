"""A real Airflow on this machine: a few processes, one folder, gone when it is stopped.

::

    with LocalAirflow(Path(".airflow/demo")) as airflow:
        airflow.rest.wait_for_dag("my_dag")
        run_id = airflow.rest.trigger("my_dag", {"parameter": 1})
        airflow.rest.wait("my_dag", run_id)
"""

from __future__ import annotations

import atexit
import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType

import httpx
import psutil  # type: ignore[import-untyped]

from scripts import airflow_processes as processes
from scripts.airflow_home import ADDRESS, USER, AirflowHome, Credentials
from scripts.airflow_rest import AirflowRest
from scripts.progress import Progress

# The log servers and the scheduler's health check would listen on every address of the machine and
# serve files and states that the API server reads by itself here, so they stay off.
PROCESS_ARGUMENTS = {
    "api-server": ("api-server",),
    "scheduler": ("scheduler", "--skip-serve-logs"),
    "dag-processor": ("dag-processor",),
    "triggerer": ("triggerer", "--skip-serve-logs"),
}
HEALTH_NAMES = ("scheduler", "dag_processor", "triggerer")
WORKER_IS_READY = " ready."


class AirflowDiedError(RuntimeError):
    """One of the processes ended by itself; the text carries the end of its log."""


class LocalAirflow:
    """Airflow with LocalExecutor, and SQLite unless settings say otherwise, below one folder.

    Args:
        home:
            The folder. It can be started again later and remembers its DAG runs.
        dags_folder:
            Where DAG files are looked for; ``home/dags`` unless given.
        extra_settings:
            Airflow settings as ``{"section.option": value}``, over those that are set here.
        port:
            The API server's port; a free one unless given, kept from one start to the next.
        workers:
            Celery workers, name -> the queues that it serves; the settings say how they are met.
    """

    def __init__(
        self,
        home: Path,
        dags_folder: Path | None = None,
        *,
        extra_settings: Mapping[str, str] | None = None,
        port: int | None = None,
        workers: Mapping[str, str] | None = None,
    ) -> None:
        self._workers = dict(workers or {})
        self.home = AirflowHome(home, dags_folder, extra_settings or {})
        self._wanted_port = port
        self._running: list[processes.RunningProcess] = []
        self._killed: set[int] = set()
        self._rest: AirflowRest | None = None
        self._environment: dict[str, str] = {}
        self._credentials: Credentials | None = None
        self._signals = contextlib.ExitStack()

    # -- what it is --------------------------------------------------------------------------------

    @property
    def dags_folder(self) -> Path:
        """Where DAG files are looked for."""
        return self.home.dags_folder

    @property
    def url(self) -> str:
        """The address of UI and API."""
        return self.rest.url

    @property
    def user(self) -> str:
        """The one user."""
        return USER

    @property
    def password(self) -> str:
        """The user's password."""
        assert self._credentials is not None, "not started"
        return self._credentials.password

    @property
    def rest(self) -> AirflowRest:
        """The REST API, logged in."""
        assert self._rest is not None, "not started"
        return self._rest

    @property
    def environment(self) -> Mapping[str, str]:
        """The environment in which ``airflow`` commands speak to this Airflow."""
        return self._environment

    def run(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run an ``airflow`` command here and return what it printed."""
        return subprocess.run(
            self._command(*arguments),
            env=self._environment,
            cwd=self.home.path,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    # -- life --------------------------------------------------------------------------------------

    def start(self, timeout: float = 300) -> None:
        """Start everything and return when all four parts are healthy and the API is warm."""
        self.home.acquire()
        atexit.register(self.stop)
        try:
            self._end_orphans()
            self._credentials = self.home.credentials(self._wanted_port)
            self._environment = self.home.environment(self._credentials)
            self._environment[processes.MARKER] = str(self.home.path)
            # Without it every task would compile anew what this process may not keep compiled.
            self._environment.pop("PYTHONDONTWRITEBYTECODE", None)
            url = f"http://{ADDRESS}:{self._credentials.port}"
            self._rest = AirflowRest(url, USER, self._credentials.password, self.check)
            progress = Progress("Airflow")
            self._prepare_database(progress)
            for name in (*PROCESS_ARGUMENTS, *self._workers):
                self._spawn(name)
            self._wait_until_healthy(progress, timeout)
            self._warm_up()
            progress.done(f"healthy at {url}")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End every process. Nothing of this Airflow runs afterwards; the folder stays."""
        with processes.signals_wait():
            if self._rest is not None:
                self._rest.close()
            if self._environment:
                sessions = {process.popen.pid for process in self._running} | self._killed
                processes.end(sessions, str(self.home.path))
                for process in self._running:
                    process.popen.wait(timeout=10)
            self._running.clear()
            self._environment = {}
            self.home.release()
            atexit.unregister(self.stop)

    def restart(self, name: str, timeout: float = 120) -> None:
        """Kill one of the processes outright, start it again, and return when all is healthy.

        What it has started itself goes on, as it does when the real one is killed.
        """
        (killed,) = [process for process in self._running if process.name == name]
        self._running.remove(killed)  # first, so that nobody who waits takes it for a death
        killed.popen.kill()
        killed.popen.wait()
        self._killed.add(killed.popen.pid)  # the session of what goes on
        self._spawn(name)
        self._wait_until_healthy(Progress("Airflow"), timeout)

    def lose(self, name: str) -> None:
        """End one of the processes and all that it has started, as when its machine is lost."""
        (lost,) = [process for process in self._running if process.name == name]
        self._running.remove(lost)
        family = [leader := psutil.Process(lost.popen.pid), *leader.children(recursive=True)]
        processes.send(family, signal.SIGSTOP)  # so that none sees another one go
        processes.send(family, signal.SIGKILL)
        lost.popen.wait()
        processes.wait_for_end(family, 10)

    def pid_of(self, name: str) -> int:
        """The id of one of the processes."""
        (found,) = [each.popen.pid for each in self._running if each.name == name]
        return found

    def started_by(self, pid: int) -> str:
        """The name of the process that a process on this machine descends from."""
        above = {pid, *(each.pid for each in psutil.Process(pid).parents())}
        (name,) = [each.name for each in self._running if each.popen.pid in above]
        return name

    def check(self) -> None:
        """Raise if one of the processes has ended by itself."""
        for process in self._running:
            code = process.exit_code()
            if code is not None:
                raise AirflowDiedError(
                    f"Airflow's {process.name} ended with code {code}."
                    f" The end of {process.log}:\n{process.last_lines()}"
                )

    def __enter__(self) -> LocalAirflow:
        self._signals.enter_context(processes.signals_raise())
        try:
            self.start()
        except BaseException:
            self._signals.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        self._signals.close()

    # -- parts of starting -------------------------------------------------------------------------

    def _command(self, *arguments: str) -> list[str]:
        # -P: the folder that a command starts in is no place to import from.
        return [sys.executable, "-P", "-m", "airflow", *arguments]

    def _arguments(self, name: str) -> tuple[str, ...]:
        if name not in self._workers:
            return PROCESS_ARGUMENTS[name]
        # Workers of one home would take each other's names and say good-bye for each other.
        own = ("--celery-hostname", name, "--pid", str(self.home.path / f"{name}.pid"))
        return ("celery", "worker", "--skip-serve-logs", "--queues", self._workers[name], *own)

    def _spawn(self, name: str, *arguments: str) -> processes.RunningProcess:
        process = processes.spawn(
            name,
            self._command(*(arguments or self._arguments(name))),
            self._environment,
            self.home.path,
            self.home.process_log(name),
        )
        self._running.append(process)
        started = {
            each.name: (each.popen.pid, psutil.Process(each.popen.pid).create_time())
            for each in self._running
            if each.exit_code() is None
        }
        (self.home.path / "processes.json").write_text(json.dumps(started))
        return process

    def _end_orphans(self) -> None:
        """End what a program that was killed outright could not end."""
        record = self.home.path / "processes.json"
        recorded = json.loads(record.read_text()) if record.exists() else {}
        processes.end(processes.orphaned_sessions(recorded), str(self.home.path))

    def _prepare_database(self, progress: Progress) -> None:
        if self.home.database_is_current():
            return
        process = self._spawn("db-migrate", "db", "migrate")
        while process.exit_code() is None:
            progress.show("preparing the database")
            time.sleep(0.2)
        if process.exit_code() != 0:
            raise AirflowDiedError(f"airflow db migrate failed:\n{process.last_lines(30)}")
        self._running.remove(process)
        self.home.note_database_version()

    def _wait_until_healthy(self, progress: Progress, timeout: float) -> None:
        started = datetime.now(UTC)
        deadline = time.monotonic() + timeout
        while True:
            self.check()
            states = self._states(started)
            waiting = [name for name, state in states.items() if state != "healthy"]
            progress.show(f"waiting for {', '.join(waiting)}" if waiting else "warming up")
            if not waiting:
                return
            if time.monotonic() > deadline:
                tails = "\n".join(f"{p.name}:\n{p.last_lines(5)}" for p in self._running)
                raise TimeoutError(
                    f"Airflow is not healthy after {timeout:.0f} s: {states}\n{tails}"
                )
            time.sleep(0.3)

    def _states(self, started: datetime) -> dict[str, str]:
        """Each part's state; a heartbeat from before this start is none."""
        states = dict.fromkeys(("api-server", *HEALTH_NAMES), "starting")
        for each in self._running:
            if each.name in self._workers:
                ready = WORKER_IS_READY in each.log.read_text(errors="replace")
                states[each.name] = "healthy" if ready else "starting"
        try:
            health = self.rest.health()
        except httpx.HTTPError:
            return states
        states["api-server"] = "healthy"
        for name in HEALTH_NAMES:
            beat = health[name].get(f"latest_{name}_heartbeat")
            if beat and datetime.fromisoformat(beat) > started:
                states[name] = str(health[name]["status"])
        return states

    def _warm_up(self) -> None:
        """Have the API server import now what its first callers would wait for."""
        for path in ("/api/v2/dags", "/execution/health/ping", "/ui/config", "/"):
            self.rest.get(path)
