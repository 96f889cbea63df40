"""One attempt at a step, from its job to its report."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Sequence, Tuple

from airflow_aml.errors import AirflowAmlError, UserErrorException
from airflow_aml.runtime import RUNTIME_ERROR, argv, environment, is_uri, recording
from airflow_aml.runtime.keep import close_staging, discard_staging
from airflow_aml.runtime.process import STANDARD, Ended, Sink, run_script
from airflow_aml.runtime.reading import read_job
from airflow_aml.runtime.stage import Staged, prepare, remove
from airflow_aml.runtime.stopping import Stop, StopRequested
from airflow_aml.workspace.documents import write_json

if TYPE_CHECKING:
    from typing import Callable

    from airflow_aml.runtime.job import StepJob
    from airflow_aml.runtime.places import Places

WATCH_STDIN = "--watch-stdin"


def here(staged: Staged) -> Callable[..., Ended]:
    """How a script is run, once all is staged for it: as a process of this machine."""
    return run_script


Report = Dict[str, Any]
"""A :class:`~airflow_aml.runtime.report.StepReport` as it is written; see ``reading`` for why."""

_LIKELY_CAUSES: Dict[int, str] = {
    signal.SIGKILL: " This is most often the system, out of memory.",
    signal.SIGSEGV: " This is most often a fault in a compiled package.",
}


def main(arguments: Sequence[str]) -> int:
    """Runs the job that the arguments name, writes its report, and returns the exit code."""
    stop = Stop(watch_stdin=WATCH_STDIN in arguments)
    stop.install()
    paths = [each for each in arguments if each != WATCH_STDIN]
    if len(paths) != 1:
        _say(f"usage: python -m airflow_aml.runtime [{WATCH_STDIN}] job.json")
        return RUNTIME_ERROR
    report_path = os.path.join(os.path.dirname(os.path.abspath(paths[0])), "report.json")
    job: Optional[StepJob] = None
    try:
        job = read_job(paths[0])
    except (OSError, ValueError, KeyError, TypeError, AirflowAmlError) as error:
        report = {"outcome": "error", "message": f"the job {paths[0]} cannot be read: {error!r}"}
    else:
        report_path = os.path.join(job.work, "report.json")
        report = run(job, stop)
    try:
        write_json(report_path, report, durable=False)
    except OSError as error:
        _say(f"the report {report_path} cannot be written: {error}")
        return RUNTIME_ERROR
    finally:
        stop.look()
        if stop.abandoned and job is not None:
            with suppress(OSError):
                remove(job.work)  # who made it cannot
    return exit_code(report)


def run(
    job: StepJob,
    stop: Stop,
    sinks: Tuple[Sink, Sink] = STANDARD,
    environ: Mapping[str, str] = os.environ,
    place: Callable[[Staged], Callable[..., Ended]] = here,
) -> Report:
    """Stages, runs and commits; every failure becomes a report.

    Args:
        sinks: where the script's stdout and stderr go.
        environ: what the script's variables start from, and what opens remote stores.
        place: where the script itself runs: what answers as :func:`run_script` does.
    """
    attempt = _Attempt(job, stop, sinks, environ, place)
    try:
        return attempt.go()
    except StopRequested:
        return attempt.report("stopped", f"The step was stopped: {stop.reason}.")
    except AirflowAmlError as error:
        fatal = isinstance(error, UserErrorException)
        return attempt.report("error", _sentence(error), fatal=fatal)
    except OSError as error:
        return attempt.report("error", f"The step could not be run: {error}.")
    except Exception as error:  # noqa: BLE001 - the report is how anybody learns of it
        import traceback

        _say(f"unexpected {type(error).__name__} in the runtime of this step:")
        traceback.print_exc()
        return attempt.report("error", f"Unexpected {type(error).__name__} in the runtime: {error}")
    finally:
        attempt.clean_up()


def exit_code(report: Report) -> int:
    """The runtime's exit code: the script's, 128+n after signal n, or :data:`RUNTIME_ERROR`."""
    if report["outcome"] == "error":
        return RUNTIME_ERROR
    code: Optional[int] = report["exit_code"]
    if code is None or (code == 0 and report["outcome"] == "stopped"):
        return 128 + signal.SIGTERM
    return code if code >= 0 else 128 - code


class _Attempt:
    """What is known so far, so that a report can be made at any time."""

    def __init__(
        self,
        job: StepJob,
        stop: Stop,
        sinks: Tuple[Sink, Sink],
        environ: Mapping[str, str],
        place: Callable[[Staged], Callable[..., Ended]],
    ) -> None:
        self._job = job
        self._place = place
        self._environ = environ
        self._places: Optional[Places] = None
        self._stop = stop
        self._sinks = sinks
        self._warnings: List[str] = []
        self._staged: Optional[Staged] = None
        self._ended: Optional[Ended] = None
        self._command: Tuple[str, ...] = ()
        self._staging_seconds = 0.0
        self._commit_seconds = 0.0
        self._committed = False

    def go(self) -> Report:
        """Goes the whole way."""
        job = self._job
        started = time.monotonic()
        recording.begin(job)
        staged = self._staged = prepare(job, self._stop.check, self._warnings.append, self._remote)
        environ = environment.build(
            job,
            staged.inputs,
            staged.outputs,
            staged.source,
            environ=self._environ,
            warn=self._warnings.append,
        )
        values = argv.build(job.arguments, staged.inputs, staged.outputs)
        self._command = (job.interpreter, "-u", job.script, *values)
        self._stop.check()
        self._staging_seconds = time.monotonic() - started
        ended = self._ended = self._place(staged)(
            self._command,
            cwd=staged.source,
            environ=environ,
            attempt=job.attempt,
            stop=self._stop,
            kill_after=job.kill_after,
            meanwhile=self._load_the_rest,
            sinks=recording.keeping(job, self._sinks, self._warnings.append),
        )
        self._warnings.extend(ended.warnings)
        return self._after(staged, ended)

    def _after(self, staged: Staged, ended: Ended) -> Report:
        started = time.monotonic()
        recording.finish(self._job, staged.source, self._warnings.append, self._remote)
        self._stop.check()
        if ended.exit_code != 0:
            return self.report("script_failed", _failure(self._job, ended))
        outputs = self._commit(staged) if self._job.outputs else {}
        self._committed = True
        self._commit_seconds = time.monotonic() - started
        return self.report("finished", outputs=outputs)

    def _commit(self, staged: Staged) -> Dict[str, Any]:
        from airflow_aml.codec import encode
        from airflow_aml.runtime.commit import commit_outputs

        outputs = commit_outputs(
            self._job, staged, self._stop.check, self._warnings.append, self._remote
        )
        close_staging(self._job)
        return {name: encode(each) for name, each in outputs.items()}

    def _remote(self) -> Places:
        """The job's remote stores. Who has none never asks, and loads nothing for them."""
        if self._places is None:
            from airflow_aml.runtime.places import Places

            self._places = Places(self._environ, self._sinks[1])
        return self._places

    def _load_the_rest(self) -> None:
        # The script takes longer to start than this takes to import.
        if self._job.outputs:
            import airflow_aml.runtime.commit
        if any(is_uri(output.destination) for output in self._job.outputs):
            import airflow_aml.runtime.send  # noqa: F401

    def report(
        self,
        outcome: str,
        message: str = "",
        *,
        fatal: bool = False,
        outputs: Optional[Dict[str, Any]] = None,
    ) -> Report:
        """The report of an attempt that ends now."""
        ended = self._ended
        return {
            "outcome": outcome,
            "exit_code": ended.exit_code if ended else None,
            "command": self._command,
            "seconds": ended.seconds if ended else 0.0,
            "staging_seconds": self._staging_seconds,
            "commit_seconds": self._commit_seconds,
            "message": message,
            "fatal": fatal,
            "stderr_tail": ended.stderr_tail if ended else (),
            "warnings": self._warnings,
            "outputs": outputs or {},
        }

    def clean_up(self) -> None:
        """Removes what must not outlive the attempt."""
        try:
            for link in self._staged.links if self._staged else ():
                remove(link)
            if not self._committed:
                discard_staging(self._job)
        except OSError as error:
            _say(f"something could not be removed: {error}")


def _failure(job: StepJob, ended: Ended) -> str:
    code = ended.exit_code
    if code > 0:
        return f"The script {job.script} of step {job.step!r} ended with exit code {code}."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    cause = f" {ended.cause}" if ended.cause else _LIKELY_CAUSES.get(-code, "")
    return f"The script {job.script} of step {job.step!r} was ended by {name}.{cause}"


def _sentence(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text[:1].upper() + text[1:]


def _say(text: str) -> None:
    sys.stderr.write(f"airflow_aml: {text}\n")
    sys.stderr.flush()
