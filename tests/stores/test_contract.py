"""What every store promises, on every kind of store."""

from __future__ import annotations

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace.stores.base import Store

NAMES = [
    "plain.txt",
    "with space.txt",
    "ünïcödé/日本語.csv",
    "a/b/c/d/e",
    "100%25 #1?a=b&c+d.csv",
    "'quotes' \"and\" [brackets] {braces} *.txt",
    ".hidden/.file",
    "x" * 200,
]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read(store: Store, name: str) -> None:
    """A file comes back by its name, whatever is in the name."""
    store.write(name, name.encode())
    assert store.read(name) == name.encode()
    assert [each.path for each in store.find()] == [name]
    assert store.exists(name)


def test_file_of_no_bytes(store: Store, tmp_path: Path) -> None:
    """An empty file is a file."""
    store.write("empty", b"")
    assert store.read("empty") == b""
    (found,) = store.find()
    assert found.size == 0
    store.download([("empty", str(tmp_path / "empty"))])
    assert (tmp_path / "empty").read_bytes() == b""


def test_write_replaces(store: Store) -> None:
    """The second write of a name is what is read, and its version is another."""
    store.write("name", b"first")
    (before,) = store.find()
    store.write("name", b"second")
    (after,) = store.find()
    assert store.read("name") == b"second"
    assert (before.size, after.size) == (5, 6)
    assert before.version != after.version


def test_md5_is_of_the_content_where_it_is_told(store: Store) -> None:
    """A listing tells no MD5, or the right one."""
    store.write("name", b"content")
    (found,) = store.find()
    assert found.md5 in (None, hashlib.md5(b"content").hexdigest())


def test_missing_file_is_named(store: Store) -> None:
    """Reading and downloading what is not there fail with its name."""
    store.write("folder/there", b"")
    for name in ("gone.txt", "folder", "folder/there/below"):
        with pytest.raises(FileNotFoundError, match=name):
            store.read(name)
        assert not store.exists(name)


def test_download_of_a_missing_file_is_named(store: Store, tmp_path: Path) -> None:
    """One missing file among many fails the download, by its name."""
    store.write("there", b"")
    with pytest.raises(FileNotFoundError, match=r"gone\.txt"):
        store.download([(name, str(tmp_path / name)) for name in ("there", "gone.txt")])
    assert not (tmp_path / "gone.txt").exists()


def test_upload_of_a_missing_file_is_named(store: Store, tmp_path: Path) -> None:
    """A local file that is not there fails the upload, by its name."""
    with pytest.raises(FileNotFoundError, match=r"gone\.txt"):
        store.upload([(str(tmp_path / "gone.txt"), "name")])


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../up", "a/../../up", "a//b", ".", "a/", "a\0b"]
)
def test_paths_cannot_lead_out(store: Store, tmp_path: Path, path: str) -> None:
    """An empty or absolute path, and one with dots, is refused by every method."""
    (tmp_path / "file").write_bytes(b"")
    local = str(tmp_path / "file")
    for attempt in (
        lambda: store.read(path),
        lambda: store.write(path, b""),
        lambda: store.create(path, b""),
        lambda: store.upload([(local, path)]),
        lambda: store.download([(path, local)]),
        lambda: store.delete([path]),
    ):
        with pytest.raises(WorkspaceException, match="not a path inside this store"):
            attempt()
    assert list(store.find()) == []


@pytest.mark.parametrize("prefix", ["/", "../", "a/../", "//"])
def test_prefixes_cannot_lead_out(store: Store, prefix: str) -> None:
    """The same holds for what listings begin with."""
    for listing in (store.find, store.children, store.exists):
        with pytest.raises(WorkspaceException, match="not a path inside this store"):
            listing(prefix)


def test_listing_is_by_prefix_and_sorted(store: Store) -> None:
    """A listing has every file whose path begins like that, in one order, and nothing else."""
    for name in ("b/2", "b/10", "b-side", "a", "b/é", "c/b/1"):
        store.write(name, b"")
    assert [each.path for each in store.find()] == ["a", "b-side", "b/10", "b/2", "b/é", "c/b/1"]
    assert [each.path for each in store.find("b/")] == ["b/10", "b/2", "b/é"]
    assert [each.path for each in store.find("b")] == ["b-side", "b/10", "b/2", "b/é"]
    assert [each.path for each in store.find("b/1")] == ["b/10"]
    assert list(store.find("nothing/")) == []


def test_children_are_one_level(store: Store) -> None:
    """Names directly below a prefix: folders with a slash, files without."""
    for name in ("a", "b/1", "b/c/2", "b c/3", "d/e/f/4"):
        store.write(name, b"")
    assert store.children() == ["a", "b c/", "b/", "d/"]
    assert store.children("b/") == store.children("b") == ["1", "c/"]
    assert store.children("d/e/") == ["f/"]
    assert store.children("nothing/") == []


def test_listings_are_fresh(store: Store, place) -> None:
    """Each listing sees what this opener or another wrote or deleted a moment ago."""
    other = place.open()
    assert list(store.find()) == store.children() == []
    other.write("folder/one", b"1")
    assert [each.path for each in store.find()] == ["folder/one"]
    store.write("folder/two", b"2")
    assert store.children("folder/") == other.children("folder/") == ["one", "two"]
    other.delete(["folder/one", "folder/two"])
    assert list(store.find("folder/")) == store.children() == []
    assert not store.exists("folder/")


def test_deleting_what_is_not_there_is_no_error(store: Store) -> None:
    """What shall be gone may be gone already; the rest goes all the same."""
    store.write("there", b"")
    store.delete(["gone", "there", "gone/too"])
    assert list(store.find()) == []
    store.delete([])


def test_one_of_twenty_creators_wins(store: Store, place) -> None:
    """Of many who create one file at once exactly one is told that it did, and its bytes stay."""
    openers = [place.open() for _ in range(4)]
    for turn in range(3):
        name = f"leases/{turn}"
        start = threading.Barrier(20)

        def create(number: int, name: str = name, start: threading.Barrier = start) -> bool:
            start.wait()
            return openers[number % 4].create(name, f"writer {number}".encode())

        with ThreadPoolExecutor(20) as pool:
            won = list(pool.map(create, range(20)))
        assert won.count(True) == 1
        assert store.read(name) == f"writer {won.index(True)}".encode()


def test_created_file_can_be_replaced(store: Store) -> None:
    """Creation is exclusive, writing is not."""
    assert store.create("name", b"created")
    assert not store.create("name", b"again")
    store.write("name", b"written")
    assert store.read("name") == b"written"


def test_many_files_there_and_back(store: Store, tmp_path: Path) -> None:
    """300 files go up and come down whole, and the progress adds up to all of them."""
    sources = _make_files(tmp_path / "sources", 300)
    total = sum(len(content) for content in sources.values())
    told: list[tuple[int, int]] = []
    store.upload(
        [(str(tmp_path / "sources" / name), f"in/{name}") for name in sources],
        lambda files, size: told.append((files, size)),
    )
    assert (sum(files for files, _ in told), sum(size for _, size in told)) == (300, total)
    told.clear()
    store.download(
        [(f"in/{name}", str(tmp_path / "targets" / name)) for name in sources],
        lambda files, size: told.append((files, size)),
    )
    assert (sum(files for files, _ in told), sum(size for _, size in told)) == (300, total)
    for name, content in sources.items():
        assert (tmp_path / "targets" / name).read_bytes() == content
    assert len(list((tmp_path / "targets").rglob("*"))) == 300 + len(
        {n.split("/")[0] for n in sources}
    )


def test_second_transfer_skips_what_is_there(store: Store, tmp_path: Path) -> None:
    """Called again, a transfer replaces only what differs; told to, it replaces all."""
    sources = _make_files(tmp_path / "sources", 20)
    pairs = [(str(tmp_path / "sources" / name), f"in/{name}") for name in sources]
    store.upload(pairs)
    changed = next(iter(sources))
    (tmp_path / "sources" / changed).write_bytes(sources[changed][::-1] or b"x")
    told: list[int] = []
    store.upload(pairs, lambda files, _: told.append(files))
    assert sum(told) == 20
    assert store.read(f"in/{changed}") == (tmp_path / "sources" / changed).read_bytes()

    targets = [(path, str(tmp_path / "targets" / path)) for _, path in pairs]
    store.download(targets)
    inodes = {target: os.stat(target).st_ino for _, target in targets}
    for _, target in targets:
        os.link(target, f"{target}.held")  # else a new file may get the inode of the old one
    spoilt = targets[3][1]
    Path(spoilt).write_bytes(b"?" * os.stat(spoilt).st_size)
    store.download(targets)
    assert Path(spoilt).read_bytes() == store.read(targets[3][0])
    if store.url.startswith("memory"):
        return  # one process's memory has nothing to resume
    again = {target for _, target in targets if os.stat(target).st_ino != inodes[target]}
    assert again <= {spoilt}
    store.download(targets, skip_same=False)
    assert all(os.stat(target).st_ino != inodes[target] for _, target in targets)


def test_uri_says_where_a_file_is(store: Store, place) -> None:
    """The URI of a file is the store's URL and its path; a store's text has no credentials."""
    assert store.uri() == store.url
    assert store.uri("a/b").startswith(f"{store.url}/")
    assert store.uri("a/b").endswith("a/b")
    assert not store.url.endswith("/")
    assert (store.local_root is None) == (place.kind != "local")


def _make_files(folder: Path, count: int) -> dict[str, bytes]:
    sources = {
        f"{number % 7}/file {number}.bin": os.urandom(number * 37 % 5000) for number in range(count)
    }
    for name, content in sources.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return sources
