"""Content digests: the bytes decide, and what is known is never older than what is there."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.content import (
    digest_file,
    digest_paths,
    digest_tree,
    manifest_of,
    store_digest,
)
from airflow_aml.workspace.digests import digest_file as plain_digest
from airflow_aml.workspace.digests import digest_record, digest_table, table_names
from airflow_aml.workspace.manifests import build
from airflow_aml.workspace.statcache import StatCache
from airflow_aml.workspace.stores.base import StoredFile
from tests.workspace.settling import settle

NAMES = st.text(
    st.characters(blacklist_characters="/\0", blacklist_categories=["Cs"]), min_size=1, max_size=8
).filter(lambda name: name not in (".", "..") and len(name.encode()) < 200)
TREES = st.dictionaries(
    st.lists(NAMES, min_size=1, max_size=3).map("/".join), st.binary(max_size=20), max_size=8
)

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["write", "remove", "rename", "touch", "mode", "back", "add"]),
        st.integers(0, 7),
        st.binary(max_size=6),
    ),
    max_size=6,
)


@pytest.fixture
def cache(tmp_path: Path) -> StatCache:
    return StatCache(str(tmp_path / "cache"))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    for name in ("a.csv", "sub/b.csv", "sub/deep/c.csv", "é ü"):
        write(root / name, name.encode())
    settle(root)
    return root


@pytest.fixture
def known(tree: Path, cache: StatCache) -> Path:
    """The tree, every file of which is known to the cache."""
    digest_tree(tree, cache=cache)
    return tree


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def opened(place: Path, act: Callable[[], object]) -> list[str]:
    """Which files below a place this process opens while it acts."""
    found = []

    def hook(event: str, arguments: tuple) -> None:
        if event == "open" and watching:
            found.append(os.fsdecode(arguments[0]) if not isinstance(arguments[0], int) else "")

    watching = [1]
    sys.addaudithook(hook)
    try:
        act()
    finally:
        watching.clear()
    return sorted(os.path.relpath(each, place) for each in found if each.startswith(str(place)))


def grow(root: Path, tree: dict[str, bytes]) -> None:
    root.mkdir()
    for name, data in tree.items():
        try:
            write(root / name, data)
        except (FileExistsError, NotADirectoryError, IsADirectoryError):
            continue  # another file's name is a folder of this one


@settings(max_examples=60, deadline=None)
@given(TREES, EDITS)
def test_whatever_happens_the_digest_is_that_of_the_bytes(
    tmp_path_factory: pytest.TempPathFactory, tree: dict, edits: list
) -> None:
    """After any edits, at once and in one tick, the cached answer is that of reading all."""
    base = tmp_path_factory.mktemp("edits")
    cache = StatCache(str(base / "cache"))
    grow(base / "tree", tree)
    assert digest_tree(base / "tree", cache=cache).digest == build(base / "tree").digest
    for what, number, data in edits:
        edit(base / "tree", what, number, data)
        plain = build(base / "tree")
        found = digest_tree(base / "tree", cache=cache)
        assert found == (plain.digest, len(plain.files), plain.bytes)
        assert manifest_of(base / "tree", cache) == plain


def edit(root: Path, what: str, number: int, data: bytes) -> None:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    if what == "add" or not files:
        write(root / f"new {number}", data)
        return
    path = files[number % len(files)]
    status = path.stat()
    if what == "write":
        path.write_bytes(data)
    elif what == "remove":
        path.unlink()
    elif what == "rename":
        path.rename(path.with_name(f"renamed {number}"))
    elif what == "touch":
        os.utime(path)
    elif what == "mode":
        path.chmod(0o600 if status.st_mode & 0o77 else 0o644)
    elif what == "back":
        path.write_bytes(bytes(reversed(path.read_bytes())))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(TREES, st.integers(0, 2**31))
def test_place_time_and_rights_do_not_count(
    tmp_path_factory: pytest.TempPathFactory, tree: dict, seed: int
) -> None:
    """The same bytes under the same names have one digest anywhere."""
    base = tmp_path_factory.mktemp("same")
    cache = StatCache(str(base / "cache"))
    names = list(tree)
    grow(base / "one", tree)
    kept = {
        str(path.relative_to(base / "one")): path.read_bytes()
        for path in (base / "one").rglob("*")
        if path.is_file()
    }
    random.Random(seed).shuffle(names)
    (base / "elsewhere").mkdir()
    grow(base / "elsewhere" / "two", {name: kept[name] for name in names if name in kept})
    for path in (base / "elsewhere").rglob("*"):
        if path.is_file():
            os.utime(path, (seed, seed))
            path.chmod(0o700)
    (base / "elsewhere" / "two" / "\x7f empty").mkdir()
    digests = {digest_tree(base / place, cache=cache) for place in ("one", "elsewhere/two")}
    assert len(digests) == 1


@given(st.lists(st.tuples(st.text(max_size=9), st.binary(min_size=32, max_size=32)), max_size=9))
def test_table_is_a_record(rows: list) -> None:
    """The fast encoding of a table gives the digest of the plain one."""
    table = [(name.encode("utf-8", "replace"), data.hex().encode()) for name, data in rows]
    plain = [(name.decode(), f"sha256:{text.decode()}") for name, text in table]
    head = ("manifest", 1)
    names = table_names("sha256", [name for name, _ in table])
    assert digest_table(head, names, [text for _, text in table]) == digest_record([*head, *plain])


def test_unchanged_files_are_not_opened(known: Path, cache: StatCache) -> None:
    """What is known is neither opened nor read."""
    plain = build(known)
    assert opened(known, lambda: digest_tree(known, cache=cache)) == []
    assert digest_tree(known, cache=cache).digest == plain.digest


def test_one_changed_file_is_read_alone(known: Path, cache: StatCache) -> None:
    """One changed byte costs reading one file, and gives the digest of the new bytes."""
    (known / "sub" / "b.csv").write_bytes(b"other")
    found = opened(known, lambda: digest_tree(known, cache=cache))
    assert [name for name in found if name.endswith(".csv")] == ["sub/b.csv"]
    assert digest_tree(known, cache=cache).digest == build(known).digest


def test_same_size_and_mtime_with_other_bytes(known: Path, cache: StatCache) -> None:
    """Other bytes are seen although size and mtime were put back: ctime gives them away."""
    before, path = digest_tree(known, cache=cache).digest, known / "a.csv"
    status = path.stat()
    path.write_bytes(b"A.CSV")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert digest_tree(known, cache=cache).digest == build(known).digest != before


def test_touched_file_is_read_once(known: Path, cache: StatCache) -> None:
    """A touch without a change costs one reading and changes no digest."""
    before = digest_tree(known, cache=cache)
    os.utime(known / "a.csv")
    settle(known)
    assert "a.csv" in opened(known, lambda: digest_tree(known, cache=cache))
    assert "a.csv" not in opened(known, lambda: digest_tree(known, cache=cache))
    assert digest_tree(known, cache=cache) == before


def test_edits_within_one_tick_are_seen(tmp_path: Path, cache: StatCache) -> None:
    """A file that is written, looked at and written again at once is never taken for the first."""
    folder, single = tmp_path / "racy", tmp_path / "single"
    folder.mkdir()
    for number in range(300):
        data = b"%04d" % number
        for path in (folder / "x", single):
            with open(path, "r+b" if path.exists() else "wb") as stream:
                stream.write(data)
        assert digest_tree(folder, cache=cache).digest == build(folder).digest
        assert digest_file(single, cache) == plain_digest(single)


def test_file_replaced_by_a_rename(known: Path, tmp_path: Path, cache: StatCache) -> None:
    """A file of the same size and times that is moved over another is seen."""
    path, other = known / "a.csv", tmp_path / "other"
    status = path.stat()
    other.write_bytes(b"B.CSV")
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(other, path)
    assert digest_tree(known, cache=cache).digest == build(known).digest


def test_two_files_that_change_places(known: Path, cache: StatCache) -> None:
    """Two files of one size that swap their names swap their digests."""
    for name in ("x", "y"):
        write(known / name, name.encode())
    settle(known)
    digest_tree(known, cache=cache)
    (known / "x").rename(known / "z")
    (known / "y").rename(known / "x")
    (known / "z").rename(known / "y")
    assert manifest_of(known, cache) == build(known)


def test_links_are_followed_and_watched(known: Path, tmp_path: Path, cache: StatCache) -> None:
    """A link counts by what it leads to, also when that changes or the link leads elsewhere."""
    write(tmp_path / "far" / "one", b"1")
    write(tmp_path / "far" / "two", b"2")
    (known / "link").symlink_to(tmp_path / "far" / "one")
    (known / "folder").symlink_to(tmp_path / "far")
    settle(known)
    assert manifest_of(known, cache) == build(known)
    (tmp_path / "far" / "one").write_bytes(b"3")
    assert manifest_of(known, cache) == build(known)
    (known / "link").unlink()
    (known / "link").symlink_to(tmp_path / "far" / "two")
    assert manifest_of(known, cache) == build(known)
    (known / "up").symlink_to(known)
    with pytest.raises(UserErrorException, match="'up' is a link to a folder that it lies in"):
        digest_tree(known, cache=cache)


def test_empty_folder_and_single_file(tmp_path: Path, cache: StatCache) -> None:
    """A folder without files and a file alone have the digests of their manifests."""
    (tmp_path / "empty" / "sub").mkdir(parents=True)
    for _ in range(2):
        assert digest_tree(tmp_path / "empty", cache=cache) == (
            build(tmp_path / "empty").digest,
            0,
            0,
        )
    write(tmp_path / "one.csv", b"data")
    settle(tmp_path)
    for _ in range(2):
        plain = build(tmp_path / "one.csv")
        assert digest_tree(tmp_path / "one.csv", cache=cache) == (plain.digest, 1, 4)
        assert manifest_of(tmp_path / "one.csv", cache) == plain
    assert "one.csv" not in opened(tmp_path, lambda: digest_file(tmp_path / "one.csv", cache))


def test_what_is_no_content_is_named(tmp_path: Path, cache: StatCache) -> None:
    """A pipe is an error and not a wait, and a missing file is one of the system's."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserErrorException, match=r"pipe: it is neither a file nor a folder"):
        digest_file(tmp_path / "pipe", cache)
    with pytest.raises(UserErrorException, match=r"it is a folder, not a file"):
        digest_file(tmp_path, cache)
    with pytest.raises(FileNotFoundError):
        digest_tree(tmp_path / "nowhere", cache=cache)


def test_folder_becomes_another_one(known: Path, tmp_path: Path, cache: StatCache) -> None:
    """Another folder under the same path is read, whatever was known about the first."""
    known.rename(tmp_path / "old")
    write(known / "a.csv", b"x.csv")
    assert digest_tree(known, cache=cache).digest == build(known).digest


def test_paths_and_patterns(known: Path, tmp_path: Path, cache: StatCache) -> None:
    """Files, folders and patterns count by name and bytes; what is not there is told."""
    found = digest_paths(["sub/*.csv", "a.csv", "no*", "gone"], known, cache=cache)
    assert (found.files, found.bytes, found.missing) == (2, 14, ("no*", "gone"))
    turned = digest_paths(["a.csv", "sub/b.csv", "./a.csv"], known, cache=cache)
    assert turned.digest == found.digest
    copy = tmp_path / "copy"
    for name in ("a.csv", "sub/b.csv"):
        write(copy / name, name.encode())
    absolute = digest_paths([str(copy / "a.csv"), "sub"], copy, cache=cache)
    assert absolute.digest != found.digest
    assert digest_paths(["a.csv", "sub/b.csv"], copy, cache=cache).digest == found.digest
    (copy / "a.csv").write_bytes(b"x.csv")
    assert digest_paths(["a.csv", "sub/b.csv"], copy, cache=cache).digest != found.digest


def test_two_stars_mean_files(tmp_path: Path) -> None:
    """Each file counts once, and not again with the folders that the pattern matches, too."""
    (tmp_path / "raw" / "deep").mkdir(parents=True)
    for name in ("raw/a.csv", "raw/deep/b.csv"):
        (tmp_path / name).write_text(name)

    found = digest_paths(["raw/**"], tmp_path)

    assert found.files == 2
    assert found.digest == digest_paths(["raw/a.csv", "raw/deep/b.csv"], tmp_path).digest


def test_what_stands_for_an_object() -> None:
    """Content's MD5 where the store knows it, else what tells that it was not written again."""
    md5 = "0" * 32
    assert store_digest(StoredFile("x", 3, '0x8D"', md5)) == f"md5:{md5}"
    assert store_digest(StoredFile("x", 3, "0x8DC1")) == "etag:0x8DC1-3"
    assert store_digest(StoredFile("x", 3, f"{md5}-2")) == f"etag:{md5}-2-3"
    assert store_digest(StoredFile("x", 3, "3-1700000000000000000")) == (
        "stat:3-1700000000000000000"
    )
    assert store_digest(StoredFile("https://host/x", 0, "")) is None


def test_answers_of_another_interpreter(known: Path, cache: StatCache) -> None:
    """What one process learned another one of the same worker does not read again."""
    program = (
        "import sys\n"
        "from airflow_aml.workspace.content import digest_tree\n"
        "from airflow_aml.workspace.statcache import StatCache\n"
        "seen = []\n"
        "sys.addaudithook(lambda e, a: seen.append(str(a[0])) if e == 'open' else None)\n"
        "found = digest_tree(sys.argv[1], cache=StatCache(sys.argv[2]))\n"
        "print(found.digest, any('csv' in each for each in seen))\n"
    )
    command = [sys.executable, "-c", program, str(known), str(cache.folder)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said == [build(known).digest, "False"]


def test_young_files_are_read_again(tmp_path: Path, cache: StatCache) -> None:
    """A file that was read right after its last change is read once more, and then no more."""
    write(tmp_path / "t" / "x.csv", b"1")
    write(tmp_path / "one", b"1")
    for _ in range(2):
        assert "x.csv" in opened(tmp_path / "t", lambda: digest_tree(tmp_path / "t", cache=cache))
        assert "one" in opened(tmp_path, lambda: digest_file(tmp_path / "one", cache))
    settle(tmp_path / "t")
    digest_tree(tmp_path / "t", cache=cache)
    digest_file(tmp_path / "one", cache)
    assert opened(tmp_path / "t", lambda: digest_tree(tmp_path / "t", cache=cache)) == []
    assert "one" not in opened(tmp_path, lambda: digest_file(tmp_path / "one", cache))
