"""The first process of a step's container: it runs the script and tells how that has ended.

This file alone is started, by whatever Python the image has, without this package:
``python -I -S contained.py <ended> <folder> <script and its arguments>``. It passes signals on to
the script, which as the first process itself would not get them, and writes ``exit 3`` or
``signal 9`` to the file ``<ended>``. What the script has left running ends with the container.
"""

import os
import signal
import sys

PATH_VARIABLE = "AIRFLOW_AML_PYTHONPATH"
"""What comes before the image's own PYTHONPATH."""

PYTHON_VARIABLE = "AIRFLOW_AML_PYTHON"
"""The version, as 3.11, that the step's own packages are for."""

HANDED = "handed.json"
"""A file beside ``<ended>`` with the secrets that the script may ask for; it is removed."""

TOO_OLD, CANNOT_WRITE, ANOTHER_PYTHON = 121, 122, 123


def main(ended, folder, command):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 - even 2.7 reads this
    """Runs the command in that folder; returns the container's exit code."""
    if sys.version_info < (3, 8):  # noqa: UP036 - whatever the image has
        sys.stderr.write("airflow_aml: the image has Python %s\n" % sys.version.split()[0])  # noqa: UP031
        return TOO_OLD
    wanted, found = os.environ.pop(PYTHON_VARIABLE, ""), "%d.%d" % sys.version_info[:2]  # noqa: UP031
    if wanted not in ("", found):
        sys.stderr.write("airflow_aml: the image has Python %s\n" % found)  # noqa: UP031
        return ANOTHER_PYTHON
    try:
        told = os.open(ended, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        os.chdir(folder)
    except OSError as error:
        sys.stderr.write("airflow_aml: %s\n" % error)  # noqa: UP031
        return CANNOT_WRITE
    paths = [os.environ.pop(PATH_VARIABLE, ""), os.environ.get("PYTHONPATH", "")]
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    serving = _hand_secrets(os.path.dirname(ended))  # type: ignore[no-untyped-call]
    child = os.fork()
    if child == 0:
        os.setsid()
        os.execv(sys.executable, [sys.executable] + command)  # noqa: RUF005, S606

    def pass_on(number, frame):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        try:
            os.killpg(child, number)
        except OSError:  # it has no group of its own yet
            os.kill(child, number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)
    process, status = os.wait()
    while process != child:  # everybody's orphans are the first process's children
        process, status = os.wait()
    signaled = os.WIFSIGNALED(status)
    code = os.WTERMSIG(status) if signaled else os.WEXITSTATUS(status)
    if serving is not None:
        serving.__exit__(None, None, None)
    os.write(told, ("%s %d" % ("signal" if signaled else "exit", code)).encode())  # noqa: UP031
    return 128 + code if signaled else code


def _hand_secrets(work):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    """Who answers the script's questions for secrets, where these came with its files; or None."""
    place = os.path.join(work, HANDED)
    if not os.path.exists(place):
        return None
    import json
    import warnings

    warnings.simplefilter("ignore")  # of forks beside a thread: this one starts the script at once
    try:
        with open(place) as stream:
            values = json.load(stream)
        os.unlink(place)
        sys.path.insert(0, os.path.join(work, "airflow_aml.zip"))
        from airflow_aml.runtime.secrets import SECRETS_VARIABLE, answering, named

        serving = answering(named(values))
        os.environ[SECRETS_VARIABLE] = serving.__enter__()
    except (OSError, ValueError, ImportError) as error:
        sys.stderr.write("airflow_aml: secrets cannot be handed to this step: %s\n" % error)  # noqa: UP031
        return None
    return serving


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3:]))  # type: ignore[no-untyped-call]
