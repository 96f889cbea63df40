"""Secrets for a script, which has no Airflow: whoever runs it answers over a local socket.

A script that needs a secret asks for it by name when it needs it, so that none is in an environment
variable, a file or an argument. The socket lies in a folder that only this user can enter, and
whoever calls has to be this user. What was handed out is hidden in what the script prints.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import struct
import tempfile
import threading
from contextlib import contextmanager, suppress
from typing import Any, Callable, Dict, Iterator, Mapping, MutableMapping, Optional

from airflow_aml.errors import UserErrorException
from airflow_aml.runtime.masking import remember

SECRETS_VARIABLE = "AIRFLOW_AML_SECRETS"
"""Environment variable with the path of the socket; the path is no secret."""

HANDED_VARIABLE = "AIRFLOW_AML_HANDED"
"""Environment variable of a pod with the secrets that its compute names, as JSON."""

Ask = Callable[[str], Optional[str]]
"""Gives the value of a secret; None if there is none of that name."""

_LONGEST_PATH = 100
_LONGEST_QUESTION = 1 << 16
_PATIENCE = 10.0


@contextmanager
def answering(ask: Ask) -> Iterator[str]:
    """Inside, questions are answered at the socket whose path this yields.

    Raises:
        OSError: there can be no socket here.
    """
    short = len(tempfile.gettempdir()) + len("/aml-01234567/ask") < _LONGEST_PATH
    folder = tempfile.mkdtemp(prefix="aml-", dir=None if short else "/tmp")  # noqa: S108 - mode 0700
    try:
        path = os.path.join(folder, "ask")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(path)
            listening.listen(64)
            threading.Thread(target=_serve, args=(listening, ask), daemon=True).start()
            try:
                yield path
            finally:
                with suppress(OSError):
                    listening.shutdown(socket.SHUT_RDWR)  # wakes the thread, which ends
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def question(path: str, name: str) -> Optional[str]:
    """Asks at a socket for a secret; None if there is none of that name.

    Raises:
        OSError: nobody answers.
        ValueError: the secret could not be looked up; the text says why.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as calling:
        calling.connect(path)
        calling.sendall(json.dumps({"name": name}).encode() + b"\n")
        with calling.makefile("rb") as stream:
            line = stream.readline()
    if not line:
        raise OSError("the connection was closed without an answer")
    answer: Dict[str, Any] = json.loads(line)
    if "error" in answer:
        raise ValueError(answer["error"])
    value: Optional[str] = answer["value"]
    return value


def handed(environ: MutableMapping[str, str]) -> Ask:
    """Answers with the secrets that were handed to this process, which no script inherits."""
    return named(json.loads(environ.pop(HANDED_VARIABLE, "{}")))


def named(values: Mapping[str, Optional[str]]) -> Ask:
    """Answers with the secrets that a compute names; None is one that is not there."""

    def ask(name: str) -> Optional[str]:
        if name not in values:
            raise UserErrorException("the 'secrets' of its compute do not name it.")
        return values[name]

    return ask


def _serve(listening: socket.socket, ask: Ask) -> None:
    while True:
        try:
            calling, _ = listening.accept()
        except OSError:  # it was closed
            return
        with calling, suppress(OSError, ValueError, LookupError, TypeError):
            calling.settimeout(_PATIENCE)
            if _is_mine(calling):
                with calling.makefile("rb") as stream:
                    asked = json.loads(stream.readline(_LONGEST_QUESTION))
                calling.sendall(json.dumps(_answer(str(asked["name"]), ask)).encode() + b"\n")


def _answer(name: str, ask: Ask) -> Dict[str, Any]:
    try:
        value = ask(name)
    except UserErrorException as error:  # our own words
        return {"error": error.message.rstrip(".")}
    except Exception as error:  # noqa: BLE001 - backends of secrets raise what they like
        return {"error": f"{type(error).__name__}"}  # its text may hold anything
    if value is not None:
        remember(value)
    return {"value": value}


def _is_mine(calling: socket.socket) -> bool:
    """Whether the caller is this process' user, where the system tells."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    peer = calling.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return bool(struct.unpack("3i", peer)[1] == os.getuid())
