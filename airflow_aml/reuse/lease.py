"""Single flight: of identical steps at once one executes, and the others wait for its result.

::

    reuse/v1/leases/<fp>/<number>.json      {"version", "owner", "token", "expires", "released"}

The document with the highest number is the lease; each owner makes the next number by an exclusive
create and writes no other document, so of many who find a lease free one gets it, and nobody's
renewal or release can undo another's. Losing a lease never makes a result wrong: the step is then
executed twice.

An owner says which process it is: whoever is on the same host sees when that has gone. Expiry is
for owners that cannot be asked any more; it is told by the clocks of the machines.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_aml.errors import WorkspaceException
from airflow_aml.reuse import layout
from airflow_aml.workspace.process import Process

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home

LEASE_VERSION = 1
LEASE_SECONDS = 900.0
"""A lease that was not renewed for that long is anybody's."""

_TRIES = 50


@dataclass(frozen=True)
class Owner:
    """The task instance that executes a step, in Airflow's names.

    Attributes:
        process: that does it; None if the lease does not tell.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int = -1
    try_number: int = 1
    process: Process | None = None

    def is_same_task(self, other: Owner) -> bool:
        """Whether the other is this task instance too, in whichever of its tries."""
        mine, theirs = (replace(each, try_number=0, process=None) for each in (self, other))
        return mine == theirs

    def is_gone(self) -> bool:
        """Whether its process was on this host and has ended, however that came."""
        return self.process is not None and self.process.is_gone()


@dataclass(frozen=True)
class Lease:
    """Who executes what has that fingerprint.

    Attributes:
        token: unique for each time that a lease is taken.
        expires: seconds since 1970; no owner renewed it if that is past.
    """

    fingerprint: str
    owner: Owner
    number: int
    token: str
    expires: float
    released: bool = False

    def is_free(self, at: float | None = None) -> bool:
        """Whether the next who comes may take it."""
        return self.released or self.expires <= (time.time() if at is None else at)


def take(
    home: Home,
    fingerprint: str,
    owner: Owner,
    *,
    over: Lease | None = None,
    seconds: float = LEASE_SECONDS,
    at: float | None = None,
) -> tuple[bool, Lease]:
    """Takes the lease, if it is free or another try of the same task has it.

    Args:
        over: a lease whose owner the caller knows to be at work no more: it counts as free.
        seconds: until it expires.
        at: the moment that counts as now, in seconds since 1970.

    Returns:
        Whether the caller has it, and the lease as it is now: the caller's or another's.

    Raises:
        WorkspaceException: the store cannot be used.
    """
    moment = time.time() if at is None else at
    for _ in range(_TRIES):
        top, held = _highest(home, fingerprint)
        if held is not None and not _may_replace(held, owner, over, moment):
            return False, held
        lease = Lease(fingerprint, owner, top + 1, _token(), moment + seconds)
        if not home.store.create(_path(lease), _packed(lease), durable=False):
            continue
        numbers = _numbers(home, fingerprint)
        if numbers[-1:] == [lease.number]:
            # What is below cannot be the lease again. The highest is never removed here.
            home.store.delete([_place(fingerprint, each) for each in numbers[:-1]])
            return True, lease
        # The number was free only because a later owner had removed it: that one has the lease.
        home.store.delete([_path(lease)])
    raise WorkspaceException("a lease changes hands too often.", where=home.store.url)


def holder(home: Home, fingerprint: str, at: float | None = None) -> Lease | None:
    """The lease as it is; None if it is free.

    Raises:
        WorkspaceException: the store cannot be used.
    """
    held = _highest(home, fingerprint)[1]
    return None if held is None or held.is_free(at) else held


def renew(
    home: Home, lease: Lease, seconds: float = LEASE_SECONDS, at: float | None = None
) -> Lease | None:
    """The lease with a later expiry; None if another has taken it meanwhile.

    Raises:
        WorkspaceException: the store cannot be used.
    """
    if not _is_mine(home, lease):
        return None
    renewed = replace(lease, expires=(time.time() if at is None else at) + seconds)
    home.store.write(_path(lease), _packed(renewed), durable=False)
    return renewed


def release(home: Home, lease: Lease) -> None:
    """Gives the lease up, if it is still the caller's.

    Raises:
        WorkspaceException: the store cannot be used.
    """
    if _is_mine(home, lease):
        home.store.write(_path(lease), _packed(replace(lease, released=True)), durable=False)


def _may_replace(held: Lease, owner: Owner, over: Lease | None, at: float) -> bool:
    if held.is_free(at) or held.owner.is_same_task(owner):
        return True
    return over is not None and over.token == held.token


def _is_mine(home: Home, lease: Lease) -> bool:
    held = _highest(home, lease.fingerprint)[1]
    return held is not None and held.token == lease.token


def _highest(home: Home, fingerprint: str) -> tuple[int, Lease | None]:
    """The highest number, and the lease of it; a document that cannot be read is nobody's lease."""
    for _ in range(_TRIES):
        numbers = _numbers(home, fingerprint)
        if not numbers:
            return 0, None
        try:
            data = home.store.read(_place(fingerprint, numbers[-1]))
        except FileNotFoundError:  # a later one has been made since the listing
            continue
        return numbers[-1], _parsed(data, fingerprint, numbers[-1])
    raise WorkspaceException("a lease changes hands too often.", where=home.store.url)


def _numbers(home: Home, fingerprint: str) -> list[int]:
    stems = (each.removesuffix(".json") for each in home.store.children(layout.leases(fingerprint)))
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdigit())


def _place(fingerprint: str, number: int) -> str:
    return f"{layout.leases(fingerprint)}{number}.json"


def _path(lease: Lease) -> str:
    return _place(lease.fingerprint, lease.number)


def _packed(lease: Lease) -> bytes:
    document = {
        "version": LEASE_VERSION,
        "owner": asdict(lease.owner),
        "token": lease.token,
        "expires": lease.expires,
        "released": lease.released,
    }
    return json.dumps(document).encode()


def _parsed(data: bytes, fingerprint: str, number: int) -> Lease | None:
    try:
        document: Any = json.loads(data)
        owner: Mapping[str, Any] = document["owner"]
        return Lease(
            fingerprint,
            Owner(
                str(owner["dag_id"]),
                str(owner["run_id"]),
                str(owner["task_id"]),
                int(owner["map_index"]),
                int(owner["try_number"]),
                Process.of_document(owner.get("process")),
            ),
            number,
            str(document["token"]),
            float(document["expires"]),
            document["released"] is True,
        )
    except (ValueError, LookupError, TypeError):
        return None


def _token() -> str:
    from uuid import uuid4

    return uuid4().hex
