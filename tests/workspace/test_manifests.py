"""Manifests: what an output is, wherever and whenever it was written."""

from __future__ import annotations

import os
import random
import socket
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_aml.codec import decode, encode
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.digests import digest_bytes
from airflow_aml.workspace.manifests import FileEntry, Manifest, build, of_files

NAMES = st.text(
    st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="/"),
    min_size=1,
    max_size=8,
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)
TREES = st.dictionaries(
    NAMES, st.binary(max_size=30) | st.dictionaries(NAMES, st.binary(max_size=9))
)


def write_tree(folder: Path, tree: dict, order: random.Random) -> None:
    folder.mkdir(parents=True)
    for name in order.sample(sorted(tree), len(tree)):
        if isinstance(tree[name], dict):
            write_tree(folder / name, tree[name], order)
        else:
            (folder / name).write_bytes(tree[name])


def test_files_are_listed_by_path(tmp_path: Path) -> None:
    """A manifest lists every file, sorted, with size and digest; empty folders do not count."""
    write_tree(tmp_path / "out", {"b.txt": b"bb", "a": {"z": b"", "é x": b"1"}, "e": {}}, random)
    manifest = build(tmp_path / "out")
    assert [(each.path, each.size) for each in manifest.files] == [
        ("a/z", 0),
        ("a/é x", 1),
        ("b.txt", 2),
    ]
    assert manifest.bytes == 3
    assert manifest.files[2].digest == digest_bytes(b"bb")


def test_golden_manifest() -> None:
    """The identity of an output does not change from release to release."""
    files = (FileEntry("a/é x", 1, "sha256:" + "0" * 64), FileEntry("b", 0, "blake3:" + "1" * 64))
    assert (
        of_files(files).digest
        == "sha256:c648370f822be9fc3f6cce2ec4e4b389dabee7625d03f7896edc282b9864e554"
    )
    assert (
        of_files(()).digest
        == "sha256:ce118f16b9d4a68452ab5eed272dc2dd82167847171318d34bf57c4359f329ce"
    )


def test_single_file_has_no_name_of_its_own(tmp_path: Path) -> None:
    """An output that is one file is its content; its name is the output's name."""
    (tmp_path / "model.pkl").write_bytes(b"m")
    (tmp_path / "other").write_bytes(b"m")
    assert build(tmp_path / "model.pkl") == build(tmp_path / "other")
    assert [each.path for each in build(tmp_path / "other").files] == [""]
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "model.pkl").write_bytes(b"m")
    assert build(tmp_path / "folder").digest != build(tmp_path / "other").digest


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES, st.integers())
def test_order_of_creation_does_not_matter(tmp_path_factory, tree: dict, seed: int) -> None:
    """The same files written in any order, at any place, at any time, have one digest."""
    base = tmp_path_factory.mktemp("trees")
    write_tree(base / "one", tree, random.Random(0))
    write_tree(base / "deep" / "two", tree, random.Random(seed))
    for found in (base / "deep" / "two").rglob("*"):
        os.utime(found, (1, 1))
    assert build(base / "one") == build(base / "deep" / "two")


@settings(max_examples=40, deadline=None)
@given(st.binary(min_size=1, max_size=64), st.data())
def test_every_byte_counts(tmp_path_factory, content: bytes, data: st.DataObject) -> None:
    """A changed byte, a changed name or a moved file changes the digest."""
    folder = tmp_path_factory.mktemp("bytes")
    (folder / "name").write_bytes(content)
    before = build(folder).digest
    position = data.draw(st.integers(0, len(content) - 1))
    changed = bytearray(content)
    changed[position] ^= data.draw(st.integers(1, 255))
    (folder / "name").write_bytes(changed)
    assert build(folder).digest != before
    (folder / "name").write_bytes(content)
    assert build(folder).digest == before
    (folder / "name").rename(folder / "eman")
    assert build(folder).digest != before
    (folder / "sub").mkdir()
    (folder / "eman").rename(folder / "sub" / "name")
    assert build(folder).digest != before


def test_links_count_by_what_they_lead_to(tmp_path: Path) -> None:
    """A link to a file or folder is as good as a copy of it."""
    (tmp_path / "data" / "sub").mkdir(parents=True)
    (tmp_path / "data" / "sub" / "x").write_bytes(b"1")
    for name in ("linked", "copied"):
        (tmp_path / name).mkdir()
    (tmp_path / "linked" / "x").symlink_to(tmp_path / "data" / "sub" / "x")
    (tmp_path / "linked" / "d").symlink_to(tmp_path / "data")
    (tmp_path / "copied" / "x").write_bytes(b"1")
    (tmp_path / "copied" / "d" / "sub").mkdir(parents=True)
    (tmp_path / "copied" / "d" / "sub" / "x").write_bytes(b"1")
    assert build(tmp_path / "linked") == build(tmp_path / "copied")


def _dangling(folder: Path) -> None:
    (folder / "odd one").symlink_to(folder / "nowhere")


def _loop(folder: Path) -> None:
    (folder / "odd one").symlink_to(folder)


def _self(folder: Path) -> None:
    (folder / "odd one").symlink_to("odd one")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "odd one")


def _socket(folder: Path) -> None:
    # The name in the socket's address is short, the folder's may be long.
    here = os.open(folder, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{here}/odd one")
    os.close(here)


@pytest.mark.parametrize("make", [_dangling, _loop, _self, _pipe, _socket])
def test_what_cannot_be_kept_is_named(tmp_path: Path, make) -> None:
    """A link to nowhere, a loop, a pipe, a socket: the error names it, and nothing hangs."""
    make(tmp_path)
    with pytest.raises(UserErrorException, match="'odd one' is "):
        build(tmp_path)


def test_name_that_is_no_text_is_named(tmp_path: Path) -> None:
    """A name that is not UTF-8 cannot be written into a manifest, and the error shows it."""
    (tmp_path / "sub").mkdir()
    with open(os.fsencode(tmp_path) + b"/sub/caf\xe9", "wb"):
        pass
    with pytest.raises(UserErrorException, match=r"sub/caf.*xe9.*not UTF-8"):
        build(tmp_path)


def test_deep_folders_need_no_recursion(tmp_path: Path) -> None:
    """A chain of folders deeper than Python's stack is walked all the same."""
    os.makedirs(tmp_path / "top")
    here = os.open(tmp_path / "top", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    try:
        assert [each.path for each in build(tmp_path / "top").files] == ["d/" * 1500 + "file"]
    finally:  # nor does this need any, which pytest's own clean-up does
        subprocess.run(["rm", "-rf", tmp_path / "top"], check=True)


def test_rows_are_written_as_objects() -> None:
    """A manifest in a step's report has a JSON object for each file, and is read back the same."""
    manifest = of_files((FileEntry("a/b", 1, "sha256:0"), FileEntry("c", 0, "sha256:1")))
    document = encode(manifest)
    assert document["files"] == [
        {"path": "a/b", "size": 1, "digest": "sha256:0"},
        {"path": "c", "size": 0, "digest": "sha256:1"},
    ]
    assert decode(Manifest, document) == manifest
    with pytest.raises(UserErrorException, match="unknown 'mode'"):
        decode(Manifest, {**document, "files": [{**document["files"][0], "mode": 1}]})
