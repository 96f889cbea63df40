"""Which process somebody is, so that others on the same host can see that it has gone."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Mapping, Optional, Tuple


@dataclass(frozen=True)
class Process:
    """A process, told apart from a later one that was given its number.

    Attributes:
        host: the machine, its boot, and the container: where numbers mean the same processes.
        started: in the system's own measure; empty where it does not tell.
    """

    host: str
    pid: int
    started: str

    @classmethod
    def this(cls) -> Process:
        """The one that asks."""
        return cls.here(os.getpid())

    @classmethod
    def here(cls, pid: int) -> Process:
        """The one that has that number on this host now."""
        return cls(_host(), pid, _stat(pid)[1])

    @classmethod
    def of_document(cls, document: object) -> Optional[Process]:
        """The one whose fields a document holds; None if it holds anything else."""
        if not isinstance(document, Mapping):
            return None
        try:
            pid = int(document["pid"])
        except (LookupError, ValueError, TypeError):
            return None
        return cls(str(document.get("host")), pid, str(document.get("started")))

    def is_here(self) -> bool:
        """Whether it is, or was, one of this host."""
        return self.pid > 0 and self.host == _host()

    def is_gone(self) -> bool:
        """Whether it certainly has ended. Of a process of another host nobody here can tell."""
        if not self.is_here():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:  # it is there, and another user's
            pass
        state, started = _stat(self.pid)
        return state in ("Z", "X") or bool(started and self.started and started != self.started)


@lru_cache(maxsize=1)
def _host() -> str:
    """The same for this process and all that it forks."""
    parts = [os.uname().nodename]
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="utf-8") as stream:
            parts.append(stream.read().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    except OSError:  # not a Linux
        pass
    return " ".join(parts)


def _stat(pid: int) -> Tuple[str, str]:
    """State and start of a process; empty where the system does not tell."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            # The name before them is in parentheses and may hold anything.
            fields = stream.read().rpartition(")")[2].split()
        return fields[0], fields[19]
    except (OSError, IndexError):
        return "", ""
