"""The registry: names, versions and ids, with many writers, on every kind of store."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from airflow_aml.errors import UserErrorException, WorkspaceException
from airflow_aml.workspace.names import file_name, name_of
from airflow_aml.workspace.registry import Registry
from airflow_aml.workspace.stores.base import Store
from tests.stores.places import Place, between_processes

ROOT = Path(__file__).parents[2]

NAMES = [
    "plain",
    "with space",
    "ünïcödé 日本語",
    "a/b",
    "..",
    ".hidden",
    "trailing.",
    '100% \\ : * ? " < > | #',
    "new\nline",
    "a.json",
    "7",
]


@pytest.fixture
def registry(store: Store) -> Registry:
    return Registry(store)


def test_versions_count_from_one(registry: Registry) -> None:
    """Each document of a name gets the next number, and the last one is the latest."""
    assert [registry.create("datasets", "cats", {"n": n}) for n in "abc"] == [1, 2, 3]
    assert registry.versions("datasets", "cats") == [1, 2, 3]
    assert registry.get("datasets", "cats") == (3, {"n": "c"})
    assert registry.get("datasets", "cats", 1) == (1, {"n": "a"})
    assert registry.get("datasets", "cats", "2") == (2, {"n": "b"})
    assert registry.create("datasets", "dogs", {}) == 1


def test_tenth_version_is_later_than_the_ninth(registry: Registry) -> None:
    """Numbers are compared as numbers."""
    for number in range(1, 12):
        assert registry.create("models", "m", {"n": number}) == number
    assert registry.get("models", "m") == (11, {"n": 11})


@pytest.mark.parametrize("name", NAMES)
def test_names_of_every_form(registry: Registry, store: Store, name: str) -> None:
    """A name may have anything in it; it stays inside its kind and comes back as it was."""
    registry.create("datasets", name, {"id": f"id of {name}", "n": 1})
    registry.put("datastores", name, {"n": 2})
    assert registry.names("datasets") == registry.names("datastores") == [name]
    assert registry.get("datasets", name)[1]["n"] == 1
    assert registry.load("datastores", name) == {"n": 2}
    assert registry.by_id("datasets", f"id of {name}")[:2] == (name, 1)
    for found in store.find():
        assert found.path.startswith(("registry/datasets/", "registry/datastores/"))


def test_readable_names_stay_readable() -> None:
    """Letters of every language, digits, spaces and dashes are what ``ls`` shows."""
    for name in ("prepared_output-data", "Daten für März", "日本語"):
        assert file_name(name) == name
    assert file_name("a/b") == "a%2Fb"
    assert file_name("..") == "%2E%2E"
    assert name_of(file_name("100%")) == "100%"


def test_names_that_look_alike_are_one() -> None:
    """A letter with its accent apart is the same name as with it together."""
    assert file_name("e\u0301") == file_name("\u00e9")


@pytest.mark.parametrize("name", ["", "x" * 201, "é" * 120])
def test_names_that_no_disk_takes(registry: Registry, name: str) -> None:
    """An empty name, and one longer than disks allow, is refused before anything is written."""
    with pytest.raises(UserErrorException, match=r"empty|too long"):
        registry.create("datasets", name, {})


def test_unknown_name_lists_near_ones(registry: Registry) -> None:
    """A slip of the pen is answered with the names that were probably meant."""
    with pytest.raises(UserErrorException, match="None is registered"):
        registry.get("datasets", "diabetes")
    for name in ("diabetes-train", "Diabetes-Test", "weather"):
        registry.create("datasets", name, {})
    with pytest.raises(UserErrorException, match=r"'diabtes-train'.*Is it 'diabetes-train'"):
        registry.get("datasets", "diabtes-train")
    with pytest.raises(UserErrorException, match=r"There are: 'Diabetes-Test'.*'weather'"):
        registry.versions("datasets", "zzz")


def test_unknown_version_lists_those_there_are(registry: Registry) -> None:
    """A version that is not there, or is no version, is answered with what there is."""
    registry.create("datasets", "cats", {})
    registry.create("datasets", "cats", {})
    with pytest.raises(UserErrorException, match=r"no version 3.*versions: 1, 2"):
        registry.get("datasets", "cats", 3)
    with pytest.raises(UserErrorException, match="'newest' is not a version"):
        registry.get("datasets", "cats", "newest")
    with pytest.raises(UserErrorException, match="no dataset named 'dogs'"):
        registry.get("datasets", "dogs", 1)


def test_documents_without_versions(registry: Registry) -> None:
    """They are stored once, replaced only on request, and removed by name."""
    registry.put("datastores", "lake", {"url": "1"})
    with pytest.raises(UserErrorException, match="already a datastore named 'lake'"):
        registry.put("datastores", "lake", {"url": "2"})
    assert registry.load("datastores", "lake") == {"url": "1"}
    registry.put("datastores", "lake", {"url": "2"}, overwrite=True)
    assert registry.load("datastores", "lake") == {"url": "2"}
    registry.remove("datastores", "lake")
    assert registry.names("datastores") == []
    for attempt in (registry.load, registry.remove):
        with pytest.raises(UserErrorException, match="no datastore named 'lake'"):
            attempt("datastores", "lake")


def test_update_replaces_a_version(registry: Registry) -> None:
    """Tags may change after a version was made; its number does not."""
    registry.create("datasets", "cats", {"tags": {}})
    registry.update("datasets", "cats", 1, {"tags": {"a": "b"}})
    assert registry.get("datasets", "cats") == (1, {"tags": {"a": "b"}})
    with pytest.raises(UserErrorException, match="no version 2"):
        registry.update("datasets", "cats", 2, {})


def test_unknown_id(registry: Registry, store: Store) -> None:
    """An id that nobody has, or that a killed writer left alone, is unknown."""
    registry.create("datasets", "cats", {"id": "one"})
    store.delete(["registry/datasets/cats/1.json"])
    for identifier in ("one", "two", "../../workspace"):
        with pytest.raises(UserErrorException, match="no dataset with the id"):
            registry.by_id("datasets", identifier)


def test_id_of_a_writer_that_lost_a_number(registry: Registry, store: Store) -> None:
    """An id leads to its version also if its entry still has the number that another got."""
    registry.create("datasets", "cats", {"id": "one"})
    registry.create("datasets", "cats", {"id": "two"})
    store.write(
        "registry/datasets/.ids/two.json",
        json.dumps({"registry": 1, "document": {"name": "cats", "version": 1}}).encode(),
    )
    assert registry.by_id("datasets", "two") == ("cats", 2, {"id": "two"})


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"{}", b'{"registry": 1}', b"\xff\xfe"])
def test_damaged_document_is_named(registry: Registry, store: Store, damage: bytes) -> None:
    """What is no document is told by its place; the name's other versions still work."""
    registry.create("datasets", "cats", {"n": 1})
    registry.create("datasets", "cats", {"n": 2})
    store.write("registry/datasets/cats/2.json", damage)
    with pytest.raises(WorkspaceException, match=r"cats/2\.json: this document is damaged"):
        registry.get("datasets", "cats")
    assert registry.get("datasets", "cats", 1) == (1, {"n": 1})


def test_document_of_a_later_release(registry: Registry, store: Store) -> None:
    """A document that a later release wrote is refused by its version."""
    registry.put("datastores", "lake", {})
    later = json.dumps({"registry": 2, "document": {}}).encode()
    store.write("registry/datastores/lake.json", later)
    with pytest.raises(WorkspaceException, match=r"lake\.json.*later release \(version 2"):
        registry.load("datastores", "lake")


def test_what_others_put_there_is_left_out(registry: Registry, store: Store) -> None:
    """Files that are none of ours do not count as names or versions."""
    registry.create("datasets", "cats", {})
    for path in ("README.txt", "cats/notes.json", "cats/1.json.bak", "cats/2/x.json"):
        store.write(f"registry/datasets/{path}", b"")
    assert registry.names("datasets") == ["cats"]
    assert registry.versions("datasets", "cats") == [1]


@between_processes
def test_fifty_writers_at_once(place: Place) -> None:
    """Fifty registrations of one name in two processes are versions 1 to 50, none lost."""
    program = (
        "import sys\n"
        "from concurrent.futures import ThreadPoolExecutor\n"
        "from airflow_aml.workspace.registry import Registry\n"
        "from airflow_aml.workspace.stores import open_store\n"
        f"registry = Registry(open_store({place.url!r}, {place.options!r}))\n"
        "registry.names('datasets')\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "def register(number):\n"
        "    document = {'id': f'{sys.argv[1]}-{number}'}\n"
        "    return registry.create('datasets', 'cats', document)\n"
        "with ThreadPoolExecutor(25) as pool:\n"
        "    print(*pool.map(register, range(25)))\n"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(number)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for number in range(2)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    numbers = [int(each) for process in processes for each in process.communicate()[0].split()]
    _assert_all_there(
        Registry(place.open()), numbers, {f"{p}-{n}" for p in range(2) for n in range(25)}
    )


@pytest.mark.parametrize("place", ["memory"], indirect=True)
def test_fifty_threads_at_once(place: Place) -> None:
    """The same holds for threads, in the store that only one process sees."""
    registry = Registry(place.open())
    with ThreadPoolExecutor(50) as pool:
        numbers = list(
            pool.map(lambda n: registry.create("datasets", "cats", {"id": str(n)}), range(50))
        )
    _assert_all_there(registry, numbers, {str(n) for n in range(50)})


def _assert_all_there(registry: Registry, numbers: list[int], ids: set[str]) -> None:
    assert sorted(numbers) == registry.versions("datasets", "cats") == list(range(1, 51))
    with ThreadPoolExecutor(8) as pool:
        documents = pool.map(lambda n: registry.get("datasets", "cats", n)[1], range(1, 51))
        assert {document["id"] for document in documents} == ids
        some = sorted(ids)[::10]
        assert len(set(pool.map(lambda i: registry.by_id("datasets", i)[1], some))) == len(some)
