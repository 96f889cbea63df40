from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_aml.reuse import layout, lease
from airflow_aml.reuse.lease import Owner
from airflow_aml.workspace.home import Home, open_home
from airflow_aml.workspace.process import Process

KEY = "sha256:" + "ab" * 32
ME = Owner("dag", "run-1", "train")
OTHER = Owner("dag", "run-2", "train")


@pytest.fixture(params=["local", "memory"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Home:
    if request.param == "local":
        return open_home(str(tmp_path / "workspace"))
    return open_home(f"memory://{uuid.uuid4().hex}/aml")


def test_the_second_who_comes_hears_who_is_at_work(anywhere: Home) -> None:
    """Of two runs that need the same step one executes it, and the other knows whom to watch."""
    got, mine = lease.take(anywhere, KEY, ME)
    assert got
    assert mine.owner == ME
    assert lease.take(anywhere, KEY, OTHER) == (False, mine)
    assert lease.holder(anywhere, KEY) == mine


def test_a_released_lease_is_free(anywhere: Home) -> None:
    """When the first has finished, the next who comes may execute."""
    _, mine = lease.take(anywhere, KEY, ME)
    lease.release(anywhere, mine)
    assert lease.holder(anywhere, KEY) is None
    assert lease.take(anywhere, KEY, OTHER)[0]


def test_an_expired_lease_is_free_and_a_renewed_one_is_not(anywhere: Home) -> None:
    """An owner that vanished is waited for until its lease expires, and no longer."""
    _, mine = lease.take(anywhere, KEY, ME, seconds=10, at=1000.0)
    renewed = lease.renew(anywhere, mine, seconds=10, at=1005.0)
    assert renewed is not None
    assert not lease.take(anywhere, KEY, OTHER, at=1014.0)[0]
    assert lease.take(anywhere, KEY, OTHER, at=1016.0)[0]


def test_who_lost_a_lease_can_neither_renew_nor_release_it(anywhere: Home) -> None:
    """An owner that was paused for too long does not disturb the one who took over."""
    _, mine = lease.take(anywhere, KEY, ME, seconds=10, at=1000.0)
    _, theirs = lease.take(anywhere, KEY, OTHER, at=2000.0)
    assert lease.renew(anywhere, mine, at=2000.0) is None
    lease.release(anywhere, mine)
    assert lease.holder(anywhere, KEY, at=2000.0) == theirs


def test_a_retry_of_the_same_task_takes_over_at_once(anywhere: Home) -> None:
    """Airflow runs one try at a time, so the earlier try's lease is not waited for."""
    lease.take(anywhere, KEY, ME)
    got, mine = lease.take(anywhere, KEY, replace(ME, try_number=2))
    assert got
    assert mine.owner.try_number == 2


def test_an_owner_that_is_known_to_be_dead_is_replaced_once(anywhere: Home) -> None:
    """Of several who saw the owner fail one takes over; the others see the new owner."""
    _, dead = lease.take(anywhere, KEY, ME)
    third = replace(OTHER, run_id="run-3")
    got, theirs = lease.take(anywhere, KEY, OTHER, over=dead)
    assert got
    assert lease.take(anywhere, KEY, third, over=dead) == (False, theirs)


def test_an_owner_whose_process_was_killed_is_seen_to_be_gone(anywhere: Home) -> None:
    """Whoever is on the same host need not wait for a lease that nobody can give up any more."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as owner:
        started = Path(f"/proc/{owner.pid}/stat").read_text().rpartition(")")[2].split()[19]
        process = replace(Process.this(), pid=owner.pid, started=started)
        _, theirs = lease.take(anywhere, KEY, replace(OTHER, process=process))
        held = lease.holder(anywhere, KEY)
        assert held == theirs
        assert not held.owner.is_gone()
        owner.kill()
        owner.wait()
        assert held.owner.is_gone()
        elsewhere = replace(process, host="another")
        assert not replace(OTHER, process=elsewhere).is_gone()


def test_a_later_process_with_the_same_number_is_not_the_owner() -> None:
    """Process numbers are given again."""
    this = Process.this()
    assert not this.is_gone()
    assert replace(this, started="1").is_gone()


def test_a_lease_of_an_earlier_release_names_no_process(anywhere: Home) -> None:
    """It is a lease all the same, and lasts until it is released or expires."""
    _, mine = lease.take(anywhere, KEY, ME)
    document = json.loads(lease._packed(mine))
    del document["owner"]["process"]
    path = f"{layout.leases(KEY)}{mine.number}.json"
    anywhere.store.write(path, json.dumps(document).encode())
    held = lease.holder(anywhere, KEY)
    assert held == mine
    assert not held.owner.is_gone()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"owner": {}}'])
def test_a_damaged_lease_is_nobodys(anywhere: Home, damage: bytes) -> None:
    """A document that cannot be read holds nobody up."""
    _, mine = lease.take(anywhere, KEY, ME)
    anywhere.store.write(f"{layout.leases(KEY)}{mine.number}.json", damage)
    assert lease.holder(anywhere, KEY) is None
    assert lease.take(anywhere, KEY, OTHER)[0]


def test_leases_on_different_work_do_not_meet(anywhere: Home) -> None:
    """Only identical steps wait for each other."""
    assert lease.take(anywhere, KEY, ME)[0]
    assert lease.take(anywhere, "sha256:" + "cd" * 32, OTHER)[0]


def test_old_documents_do_not_pile_up(anywhere: Home) -> None:
    """A lease that has had many owners is one document."""
    for number in range(10):
        _, mine = lease.take(anywhere, KEY, replace(ME, run_id=f"run-{number}"))
        lease.release(anywhere, mine)
    assert len(anywhere.store.children(layout.leases(KEY))) == 1


def test_a_number_that_was_given_before_is_no_lease(anywhere: Home) -> None:
    """Who looked at an old listing and makes a number that is past does not have the lease."""
    for number in range(3):
        _, mine = lease.take(anywhere, KEY, replace(ME, run_id=f"run-{number}"))
        lease.release(anywhere, mine)
    _, current = lease.take(anywhere, KEY, ME)
    late = replace(current, number=1, token="late", owner=OTHER)
    anywhere.store.create(f"{layout.leases(KEY)}1.json", lease._packed(late))
    assert lease.holder(anywhere, KEY) == current
    assert lease.renew(anywhere, late) is None


def _race(url: str, number: int, start: float) -> str | None:
    home = open_home(url)
    time.sleep(max(0.0, start - time.time()))
    got, mine = lease.take(home, KEY, replace(ME, run_id=f"run-{number}"))
    return mine.token if got else None


@pytest.mark.parametrize("before", ["never held", "expired"])
def test_of_many_processes_at_once_one_gets_the_lease(tmp_path: Path, before: str) -> None:
    """Eight processes that find a lease free in the same moment: exactly one executes."""
    home = open_home(str(tmp_path / "workspace"))
    if before == "expired":
        lease.take(home, KEY, OTHER, seconds=1, at=1.0)
    context = multiprocessing.get_context("spawn")
    with context.Pool(4) as pool:
        start = time.time() + 1.5
        work = [(home.url, number, start) for number in range(8)]
        got = [token for token in pool.starmap(_race, work, chunksize=2) if token]
    held = lease.holder(home, KEY)
    assert held is not None
    assert got == [held.token]


def test_threads_that_take_and_release_never_hold_it_together(anywhere: Home) -> None:
    """Mutual exclusion holds over many turns, not only once."""
    inside: list[int] = []
    most: list[int] = []

    def turn(number: int) -> None:
        owner = replace(ME, run_id=f"run-{number}")
        for _ in range(400):
            got, mine = lease.take(anywhere, KEY, owner)
            if got:
                inside.append(number)
                most.append(len(inside))
                time.sleep(0.001)
                inside.remove(number)
                lease.release(anywhere, mine)
                return
            time.sleep(0.003)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(turn, range(12)))
    assert most == [1] * 12
