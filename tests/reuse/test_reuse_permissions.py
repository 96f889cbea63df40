"""Results that this user may not read: another user has made them, or closed them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from airflow_aml.reuse.index import Index
from airflow_aml.reuse.records import StepRecord
from airflow_aml.reuse.verify import Verifier
from airflow_aml.workspace.home import Home, open_home
from tests.reuse.conftest import a_key, record_of

NOBODY = 65534

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def shared() -> Iterator[Home]:
    """A workspace in a folder that every user of the machine gets to."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        yield open_home(folder)


@pytest.fixture
def record(shared: Home) -> StepRecord:
    place = shared.path("data/s-1/model")
    (place / "sub").mkdir(parents=True)
    (place / "sub" / "weights.bin").write_bytes(b"12345")
    made = record_of(shared, a_key(), {"model": place})
    Index(shared).add(made)
    return made


def as_nobody(ask: Callable[[], object]) -> object:
    """The answer that a user gets who owns nothing here."""
    os.seteuid(NOBODY)
    try:
        return ask()
    finally:
        os.seteuid(0)


CLOSED = {
    "a file": ("data/s-1/model/sub/weights.bin", "(sub/weights.bin)"),
    "a folder": ("data/s-1/model/sub", "sub)"),
    "the output": ("data/s-1/model", "model)"),
}


@pytest.mark.parametrize("what", CLOSED)
def test_what_may_not_be_read_is_no_result(shared: Home, record: StepRecord, what: str) -> None:
    """Its owner reuses it; for anybody else it is a miss that says what cannot be read."""
    path, named = CLOSED[what]
    assert as_nobody(lambda: Verifier(shared).wrong_with(record)) is None
    place = Path(shared.path(path))
    place.chmod(place.stat().st_mode & 0o700)

    said = as_nobody(lambda: Verifier(shared).wrong_with(record))

    assert Verifier(shared).wrong_with(record) is None
    assert str(said).startswith("output 'model' of the earlier result cannot be read")
    assert str(said).endswith(named)


@pytest.mark.parametrize("what", ["the record", "its folder"])
def test_a_record_that_may_not_be_read_is_named(
    shared: Home, record: StepRecord, what: str
) -> None:
    """Records that are closed are passed over with a warning; nothing is raised."""
    (document,) = shared.path("reuse/v1").glob("??/*/*.json")
    (document if what == "the record" else document.parent).chmod(0o700)
    said: list[str] = []

    found = as_nobody(lambda: list(Index(shared).find(record.fingerprint, said.append)))

    assert found == []
    assert "Permission denied" in said[0]
    assert list(Index(shared).find(record.fingerprint)) == [record]
