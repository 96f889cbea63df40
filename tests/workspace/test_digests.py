"""Digests say how they were made, and records cannot be confused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_aml.workspace.digests import BUFFER_SIZE, digest_bytes, digest_file, digest_record

PARTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4).map(tuple),
    max_leaves=8,
)


@pytest.mark.parametrize("size", [0, 1, BUFFER_SIZE - 1, BUFFER_SIZE, 2 * BUFFER_SIZE + 7])
def test_files_are_hashed_whole(tmp_path: Path, size: int) -> None:
    """A file of any length has the digest of its bytes."""
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    (tmp_path / "x").write_bytes(data)
    expected = f"sha256:{hashlib.sha256(data).hexdigest()}"
    assert digest_file(tmp_path / "x", "sha256") == expected == digest_bytes(data, "sha256")


def test_the_name_says_the_algorithm(tmp_path: Path) -> None:
    """BLAKE3 is used where it is installed, and never silently replaced when asked for."""
    (tmp_path / "x").write_bytes(b"abc")
    try:
        from blake3 import blake3
    except ImportError:
        assert digest_file(tmp_path / "x") == digest_bytes(b"abc", "sha256")
        with pytest.raises(ImportError):
            digest_bytes(b"abc", "blake3")
    else:
        assert digest_file(tmp_path / "x") == f"blake3:{blake3(b'abc').hexdigest()}"


def test_golden_record() -> None:
    """The encoding of records does not change from release to release."""
    record = ["example", 1, ("a/b", "sha256:00"), None, True, False, -7, "é", b"\0"]
    assert (
        digest_record(record)
        == "sha256:60634d7c18ffbe73513b66d8b4b43b09b2dbba2f3fa15c6e624fff88107985c3"
    )


@given(st.lists(PARTS, max_size=4), st.lists(PARTS, max_size=4))
def test_different_records_have_different_digests(left: list, right: list) -> None:
    """No two records share a digest, however their parts are cut."""
    same = repr(left) == repr(right)
    assert (digest_record(left) == digest_record(right)) is same


def test_what_is_no_part_is_refused() -> None:
    """A float or a dict has no one text, so a record cannot hold it."""
    for part in (1.0, {}, {1}):
        with pytest.raises(TypeError):
            digest_record([part])
