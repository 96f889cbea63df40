"""A watched folder: what counts as changed, when, and that each change is taken by one run."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_aml.errors import AirflowAmlError
from airflow_aml.workspace import watches
from airflow_aml.workspace.datastores import DatastoreRecord, open_datastore, save_datastore
from airflow_aml.workspace.home import Home, open_home
from airflow_aml.workspace.stores.memory import MemoryStore
from airflow_aml.workspace.watches import Entry, Journal, watch_id
from airflow_aml.workspace.watching import FolderWatch, Settling
from tests.stores.conftest import azurite, s3  # noqa: F401 - fixtures

PLACE = "datastores/workspaceblobstore/landing"


class Watched:
    """A folder, what looks at it, and a clock that the test sets."""

    def __init__(self, home: Home, path: str = "landing", quiet: float = 2.0) -> None:
        self.home, self.path, self.quiet = home, path, quiet
        self.said: list[str] = []
        self.now = 1000.0
        self.begin()

    def begin(self) -> None:
        """What a triggerer does that has just started."""
        self.watch = FolderWatch(self.home, "", self.path, self.quiet, 300.0, self.said.append)

    def after(self, seconds: float) -> int:
        """The number of the journal's last entry, so many seconds later."""
        self.now += seconds
        return self.watch.look(self.now).last

    def drop(self, name: str, text: str = "x") -> None:
        """A file that is there whole."""
        open_datastore(self.home, "").write(f"landing/{name}", text.encode(), durable=False)

    def found(self, number: int) -> list[str]:
        """The paths of an entry, without their folder."""
        entry = self.watch.journal.entry(number)
        return [path.removeprefix("landing/") for path in sorted(entry.found)]


@pytest.fixture
def watched(workspace: Home) -> Watched:
    return Watched(workspace)


@pytest.fixture(params=["local", "azure", "s3"])
def anywhere(request: pytest.FixtureRequest, workspace: Home, tmp_path: Path) -> Watched:
    """The same in a workspace of each kind of store."""
    if request.param == "local":
        return Watched(workspace)
    server = request.getfixturevalue("azurite" if request.param == "azure" else "s3")
    scheme = "abfs" if request.param == "azure" else "s3"
    return Watched(open_home(f"{scheme}://tests/{tmp_path.name}", options=server.options))


def test_what_changes_is_an_entry_when_it_rests(anywhere: Watched) -> None:
    """What was there is no change; what is new or another is, once it has rested, anywhere."""
    anywhere.drop("old.csv")
    assert anywhere.after(0) == 0
    anywhere.drop("new.csv")
    anywhere.drop("deep/er.csv")
    assert anywhere.after(10) == 0
    assert anywhere.after(2) == 1
    assert anywhere.after(60) == 1
    anywhere.drop("old.csv", "another text")
    anywhere.after(60)

    assert anywhere.after(2) == 2
    assert [anywhere.found(1), anywhere.found(2)] == [["deep/er.csv", "new.csv"], ["old.csv"]]


def test_who_begins_again_goes_on(watched: Watched) -> None:
    """A triggerer that starts finds what came while there was none, and nothing a second time."""
    watched.after(0)
    watched.drop("a")
    watched.after(1)
    watched.after(2)
    watched.drop("b")
    watched.begin()

    assert [watched.after(1), watched.after(1), watched.after(2), watched.after(9)] == [1, 1, 2, 2]
    assert [watched.found(1), watched.found(2)] == [["a"], ["b"]]


def test_a_burst_is_one_entry(watched: Watched) -> None:
    """A thousand files that come in half a minute, more than one in a second, are one change."""
    watched.after(0)
    for second in range(30):
        for number in range(34):
            watched.drop(f"{second}/{number}")
        assert watched.after(1) == 0

    assert watched.after(2) == 1
    assert len(watched.found(1)) == 30 * 34


def test_a_stream_that_never_ends_is_told_in_parts(watched: Watched) -> None:
    """Files that rest do not wait for ever for others that come all the time."""
    watched.after(0)
    for second in range(601):
        watched.drop(f"{second}")
        last = watched.after(1)

    assert last == 2


def test_a_file_that_is_written_slowly_waits(watched: Watched) -> None:
    """As long as it grows it does not count, and it counts once, whole."""
    watched.after(0)
    for size in range(1, 20):
        watched.drop("slow", "x" * size)
        assert watched.after(1.5) == 0

    assert watched.after(2) == 1
    place = watched.home.root / PLACE / "slow"
    assert watched.watch.journal.entry(1).found["landing/slow"].startswith("19-")
    assert place.stat().st_size == 19


def test_a_folder_that_comes_goes_and_comes_back(watched: Watched) -> None:
    """No folder yet, one that is moved away and back: one sentence each, and nothing twice."""
    watched.after(0)
    watched.after(5)
    watched.drop("a")
    watched.after(5)
    assert watched.after(5) == 1
    folder = watched.home.root / PLACE
    folder.rename(folder.with_name("elsewhere"))
    assert [watched.after(5), watched.after(5)] == [1, 1]
    folder.with_name("elsewhere").rename(folder)

    assert [watched.after(5), watched.after(5)] == [1, 1]
    assert [sentence.partition(":")[0] for sentence in watched.said] == [
        "there is no file in the folder",
        "there are files in the folder again",
        "there is no file in the folder",
        "there are files in the folder again",
    ]


def test_a_file_that_went_and_came_anew_has_changed(watched: Watched) -> None:
    """What was removed is known as gone with the next change; made anew it is another file."""
    watched.drop("a")
    watched.after(0)
    (watched.home.root / PLACE / "a").unlink()
    watched.drop("b")
    watched.after(5)
    watched.after(5)
    assert watched.watch.journal.entry(1).gone == ("landing/a",)
    watched.drop("a")
    watched.after(5)

    assert watched.after(5) == 2
    assert watched.found(2) == ["a"]


def test_it_does_not_matter_what_the_clock_says(watched: Watched) -> None:
    """Files from the past and of the future count as others do, and each time anew."""
    watched.drop("a")
    watched.after(0)
    for moment in (0, 4_000_000_000, 1_000_000_000):
        os.utime(watched.home.root / PLACE / "a", (moment, moment))
        watched.after(1)
        watched.after(2)

    assert watched.after(1) == 3


def test_a_file_in_place_of_a_folder_is_refused(workspace: Home) -> None:
    """What names a file, or a datastore that nobody knows, says so, each time that it is looked."""
    watched = Watched(workspace, path="landing/a")
    watched.drop("a")
    with pytest.raises(AirflowAmlError, match="'landing/a' is a file; a schedule watches a folder"):
        watched.after(1)
    lost = FolderWatch(workspace, "lake", "", 2.0, 300.0, watched.said.append)
    with pytest.raises(AirflowAmlError, match="there is no datastore 'lake'"):
        lost.look(0.0)


def test_an_unmounted_datastore_is_no_empty_one(workspace: Home, tmp_path: Path) -> None:
    """A datastore whose folder is not there is an error, and its files are not taken for gone."""
    share = tmp_path / "share"
    share.mkdir()
    (share / "a").write_text("x")
    save_datastore(workspace, DatastoreRecord("share", "Local", share.as_uri()), {})
    watch = FolderWatch(workspace, "share", "", 0.0, 300.0, print)
    assert watch.look(0.0).last == 0
    share.rename(tmp_path / "away")
    with pytest.raises(AirflowAmlError, match="is not there"):
        watch.look(1.0)
    (tmp_path / "away").rename(share)

    assert watch.look(2.0).last == 0


def test_two_who_look_write_one_journal(workspace: Home) -> None:
    """Two triggerers at once: each change is in one entry, and both know all of them."""
    watches_ = [Watched(workspace), Watched(workspace)]
    for each in watches_:
        each.after(0)
    for number in range(40):
        watches_[0].drop(f"{number}")
        for each in watches_:
            each.now += 3.0
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda each: (each.after(0), each.after(3)), watches_))
    last = [each.after(1) for each in watches_]

    paths = [path for number in range(1, last[0] + 1) for path in watches_[0].found(number)]
    assert last[0] == last[1]
    assert sorted(paths, key=int) == [str(number) for number in range(40)]


def test_each_entry_is_one_runs(workspace: Home) -> None:
    """Runs that take at the same time share out the entries, whatever was told to whom."""
    journal = Journal(workspace.store, "w")
    journal.begin("", "", {}, "now")
    for number in range(1, 21):
        assert journal.append(Entry(number, {f"{number}": "v"}))

    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda run: journal.take("s", f"run-{run}", 5), range(8)))
    numbers = sorted(entry.number for each in taken for entry in each)

    assert numbers == list(range(5, 21))
    assert journal.take("s", "late", 20) == []
    assert [each.number for each in journal.take("other", "run", 19)] == [19, 20]


def test_a_run_that_is_tried_again_has_what_it_had(workspace: Home) -> None:
    """A run takes what others were told of and never took; its second try gets just that."""
    journal = Journal(workspace.store, "w")
    journal.begin("", "", {}, "now")
    for number in range(1, 6):
        journal.append(Entry(number, {f"{number}": "v"}))
    assert [each.number for each in journal.take("s", "first", 1)] == [1, 2, 3, 4, 5]
    for number in range(6, 9):
        journal.append(Entry(number, {f"{number}": "v"}))
    # The event of entries 6 and 7 was lost.
    assert [each.number for each in journal.take("s", "second", 8)] == [6, 7, 8]

    assert [each.number for each in journal.take("s", "second", 8, again=True)] == [6, 7, 8]
    assert [each.number for each in journal.take("s", "first", 1, again=True)] == [1, 2, 3, 4, 5]


def test_a_journal_is_not_read_from_its_beginning(workspace: Home, monkeypatch) -> None:
    """What is known is written down now and then, and what is too old is removed."""
    monkeypatch.setattr(watches, "KEPT", 100)
    journal = Journal(workspace.store, "w")
    journal.begin("", "", {"0": "v"}, "now")
    known = {"0": "v"}
    for number in range(1, 200):
        entry = Entry(number, {f"{number}": "v"}, (f"{number - 1}",), "now")
        journal.append(entry)
        journal.take("s", "run", number)
        watches.fold(known, entry)
        journal.fold(number, known)

    root = workspace.root / "watches" / "w"
    assert journal.known() == (199, {"199": "v"})
    assert sorted(int(each.stem) for each in (root / "known").iterdir()) == [128, 192]
    assert min(int(each.stem) for each in (root / "changes").iterdir()) == 92
    assert min(int(each.stem) for each in (root / "claims" / "s").iterdir()) == 92
    assert [each.number for each in journal.take("s", "late", 200)] == []


@settings(max_examples=60)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("write"), st.integers(0, 5)),
            st.tuples(st.just("remove"), st.integers(0, 5)),
            st.tuples(st.just("restart"), st.just(0)),
            st.tuples(st.just("wait"), st.integers(0, 4)),
        ),
        max_size=30,
    )
)
def test_nothing_is_missed_or_doubled(steps: list[tuple[str, int]]) -> None:
    """Whatever is written, removed and restarted: each version that rested is in one entry."""
    store = MemoryStore(f"watched-{os.urandom(4).hex()}")
    files: dict[str, str] = {}
    journal, settling = Journal(store, "w"), Settling(2.0, 300.0)
    journal.begin("", "", files, "now")
    last, known = journal.known()
    version, now = 0, 0.0
    for what, number in [*steps, ("wait", 4), ("wait", 4)]:
        if what == "write":
            version += 1
            files[f"{number}"] = f"v{version}"
        elif what == "remove":
            files.pop(f"{number}", None)
        elif what == "restart":
            settling = Settling(2.0, 300.0)
            last, known = journal.known()
        now += number if what == "wait" else 0.5
        ready = settling.look(known, files, now)
        if ready:
            gone = tuple(path for path in known if path not in files)
            entry = Entry(last + 1, ready, gone, "now")
            assert journal.append(entry)
            watches.fold(known, entry)
            last = entry.number
    told = [pair for entry in journal.after(0) for pair in entry.found.items()]

    assert len(told) == len(set(told))
    assert set(files.items()) <= set(told)


def test_names_of_watches_are_readable_and_their_own() -> None:
    """A person finds a watch by its folder; no two places have the same."""
    assert watch_id("lake", "a/b c").startswith("lake-a-b-c-")
    assert watch_id("", "").startswith("default-")
    assert len({watch_id("a", "b"), watch_id("a-b", ""), watch_id("a", "B")}) == 3
    assert "/" not in watch_id("lake", "../x")


def test_what_is_told_is_small(watched: Watched) -> None:
    """An event names some of the files, and counts them all."""
    watched.after(0)
    for number in range(500):
        watched.drop(f"{number:03}")
    watched.after(5)
    watched.after(5)
    told = watched.watch.tell(0, 1)

    assert (told["files"], len(told["paths"]), told["paths"][0]) == (500, 20, "landing/000")
    assert (told["after"], told["entry"], told["datastore"]) == (0, 1, "workspaceblobstore")
