"""File datasets: which files a definition means, and getting at them."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_aml import DataPath, Dataset, Datastore
from airflow_aml.errors import NotServedError, UserErrorException


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        ("animals", ["/cat/1.jpg", "/dog/2018/1.jpg", "/dog/2019/2.jpg"]),
        ("animals/", ["/cat/1.jpg", "/dog/2018/1.jpg", "/dog/2019/2.jpg"]),
        ("animals/cat/1.jpg", ["/1.jpg"]),
        ("animals/dog/*/*.jpg", ["/2018/1.jpg", "/2019/2.jpg"]),
        ("animals/**/*.jpg", ["/cat/1.jpg", "/dog/2018/1.jpg", "/dog/2019/2.jpg"]),
        ("animals/**", ["/cat/1.jpg", "/dog/2018/1.jpg", "/dog/2019/2.jpg"]),
        ("animals/dog/201?", ["/2018/1.jpg", "/2019/2.jpg"]),
        ("animals/dog/201[9]/*", ["/2019/2.jpg"]),
        ("animals/*/*.jpg", ["/cat/1.jpg"]),
        (["animals/cat", "animals/dog/2018"], ["/cat/1.jpg", "/dog/2018/1.jpg"]),
        (["animals/cat/1.jpg", "animals/cat"], ["/1.jpg"]),
    ],
)
def test_paths_and_globs_name_files(store, put, paths, names):
    """What the paths have in common is left out, as v1's to_path does."""
    put("animals/cat/1.jpg")
    put("animals/dog/2018/1.jpg")
    put("animals/dog/2019/2.jpg")
    given = [paths] if isinstance(paths, str) else paths

    made = Dataset.File.from_files([(store, path) for path in given])

    assert made.to_path() == names


def test_paths_may_be_of_every_kind(ws, store, put, project, tmp_path):
    """Tuples, DataPaths, local paths, references, and all of them in one list."""
    put("a/1.txt")
    (project / "here.txt").write_text("x")
    (tmp_path / "there.txt").write_text("x")

    made = Dataset.File.from_files(
        [
            (store, "a"),
            DataPath(store, "/a/1.txt"),
            store.path("a"),
            "here.txt",
            tmp_path / "there.txt",
            (tmp_path / "there.txt").as_uri(),
        ]
    )

    names = made.to_path()
    assert len(names) == 3
    assert all(name.endswith(("1.txt", "here.txt", "there.txt")) for name in names)


@pytest.mark.parametrize("name", ["with space.csv", "ünïcode ☃.csv", "[set].csv", "50%.csv", "#1"])
def test_names_of_every_kind_are_found(ws, store, put, name):
    """Spaces, unicode, glob signs and percent signs in names."""
    put(f"odd/{name}", "content")

    assert Dataset.File.from_files((store, "odd")).to_path() == [f"/{name}"]
    assert Dataset.File.from_files((store, f"odd/{name}")).to_path() == [f"/{name}"]


def test_a_missing_path_is_named(ws, store, put):
    """The path and its datastore are in the text."""
    with pytest.raises(UserErrorException, match="no file or folder 'gone' in the default"):
        Dataset.File.from_files((store, "gone")).to_path()
    named = Datastore(ws, "workspacefilestore")
    with pytest.raises(UserErrorException, match="datastore 'workspacefilestore'"):
        Dataset.File.from_files((named, "gone")).to_path()
    for path, said in (
        ("/no/such/file", "there is no file or folder '/no/such/file' in this machine"),
        ("/no/such/*.csv", "no file matches '/no/such/*.csv' in this machine"),
    ):
        with pytest.raises(UserErrorException) as refused:
            Dataset.File.from_files(path).to_path()
        assert said in str(refused.value)
        assert "file://" not in str(refused.value)


def test_a_glob_that_matches_nothing_is_no_empty_dataset(store, put):
    """An empty result is an error: nearly always a typing error in the pattern."""
    put("a/1.txt")

    with pytest.raises(UserErrorException, match=r"no file matches 'a/\*.csv'"):
        Dataset.File.from_files((store, "a/*.csv")).to_path()


@pytest.mark.parametrize("path", ["../x", "a/../../x", "..\\x"])
def test_a_datastores_path_cannot_climb_out(store, path):
    """`..` is refused when the dataset is defined."""
    with pytest.raises(UserErrorException, match="climbs out of its datastore"):
        Dataset.File.from_files((store, path))


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ([], "at least one path"),
        ("", "empty path"),
        (3, "must be a string"),
        ([None], "must be a string"),
    ],
)
def test_what_is_no_path_is_refused(path, words):
    """v1 refuses an empty list and other types."""
    with pytest.raises(UserErrorException, match=words):
        Dataset.File.from_files(path)


def test_a_url_of_a_store_needs_a_datastore():
    """wasbs:// and the like carry no credentials: they are refused with what to do."""
    with pytest.raises(NotServedError, match="Register the container"):
        Dataset.File.from_files("wasbs://box@acc.blob.core.windows.net/x")


def test_a_web_url_is_read_when_it_is_needed(ws, tmp_path):
    """https:// is accepted in a definition; reading it needs a server that answers."""
    import http.server
    import threading

    (tmp_path / "a.csv").write_text("x\n1\n")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(tmp_path))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    try:
        frame = Dataset.Tabular.from_delimited_files(f"{url}/a.csv").to_pandas_dataframe()
        assert list(frame["x"]) == [1]
        with pytest.raises(UserErrorException, match="cannot be read"):
            Dataset.File.from_files(f"{url}/gone.csv").download(str(tmp_path / "d"))
    finally:
        server.shutdown()
        server.server_close()


def test_downloading_gives_local_paths(store, put, tmp_path):
    """Files land under their names in the dataset; one that is there is not replaced unasked."""
    put("in/a/1.txt", "one")
    made = Dataset.File.from_files((store, "in"))

    (path,) = made.download(str(tmp_path / "d"))

    assert path == str(tmp_path / "d" / "a" / "1.txt")
    assert Path(path).read_text() == "one"
    with pytest.raises(UserErrorException, match="exists already"):
        made.download(str(tmp_path / "d"))
    made.download(str(tmp_path / "d"), overwrite=True)
    assert Dataset.File.from_files((store, "no")).download(ignore_not_found=True) == []


def test_mounting_shows_files_without_copying(store, put, tmp_path):
    """A whole folder is one link; chosen files are a farm of links; nothing stays afterwards."""
    original = put("in/a/1.txt", "one")
    put("in/b.csv", "two")

    with Dataset.File.from_files((store, "in")).mount(str(tmp_path / "m")) as mounted:
        assert (tmp_path / "m" / "a" / "1.txt").samefile(original)
        assert mounted.mount_point == str(tmp_path / "m")
    assert not (tmp_path / "m").exists()

    context = Dataset.File.from_files((store, "in/**/*.txt")).mount()
    context.start()
    try:
        import os

        assert os.listdir(context.mount_point) == ["a"]
    finally:
        context.stop()
    assert not os.path.exists(context.mount_point)
    assert original.read_text() == "one"


def test_a_mount_point_that_is_in_use_is_refused(store, put, tmp_path):
    """Nobody's files are hidden or removed."""
    put("in/a.txt")
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "mine").write_text("x")

    with pytest.raises(UserErrorException, match="not an empty folder"):
        Dataset.File.from_files((store, "in")).mount(str(tmp_path / "m")).start()


def test_transformations_are_recorded_and_carried_out(store, put):
    """take, skip and filter by size or path; the dataset they are called on stays what it was."""
    for number in range(5):
        put(f"in/{number}.txt", "x" * number)
    made = Dataset.File.from_files((store, "in"))

    assert made.take(2).to_path() == ["/0.txt", "/1.txt"]
    assert made.skip(3).to_path() == ["/3.txt", "/4.txt"]
    assert made.skip(1).take(1).to_path() == ["/1.txt"]
    assert made.filter(made.file_metadata("Size") > 2).to_path() == ["/3.txt", "/4.txt"]
    assert made.filter(made.file_metadata("Path").ends_with("1.txt")).to_path() == ["/1.txt"]
    assert len(made.to_path()) == 5


def test_a_split_is_complementary_and_stays(store, put):
    """The two parts share nothing, are all together, and are the same another time."""
    for number in range(100):
        put(f"in/{number:03}.txt")
    made = Dataset.File.from_files((store, "in"))

    first, second = made.random_split(0.3)
    again, _ = Dataset.File.from_files((store, "in")).random_split(0.3)
    other, _ = made.random_split(0.3, seed=7)

    assert sorted(first.to_path() + second.to_path()) == made.to_path()
    assert 10 < len(first.to_path()) < 50
    assert again.to_path() == first.to_path()
    assert other.to_path() != first.to_path()
    assert made.take_sample(0.5, seed=1).to_path() == made.take_sample(0.5, seed=1).to_path()


def test_partitions_come_from_paths(store, put):
    """partition_format reads columns from paths; dates become moments."""
    from datetime import datetime

    put("sales/rome/2020/01/data.csv")
    put("sales/oslo/2020/02/data.csv")
    made = Dataset.File.from_files(
        (store, "sales/**"), partition_format="sales/{city}/{month:yyyy/MM}/data.csv"
    )

    assert made.partition_keys == ["city", "month"]
    assert made.get_partition_key_values(["city"]) == [{"city": "oslo"}, {"city": "rome"}]
    assert made.filter(made["city"] == "rome").to_path() == ["/rome/2020/01/data.csv"]
    later = made.filter(made["month"] > datetime(2020, 1, 15))
    assert later.to_path() == ["/oslo/2020/02/data.csv"]
    with pytest.raises(UserErrorException, match="does not fit the partition_format"):
        Dataset.File.from_files((store, "sales"), partition_format="{y:yyyy}/x.csv").to_path()
    with pytest.raises(UserErrorException, match="names no column"):
        Dataset.File.from_files((store, "sales"), partition_format="data.csv")


def test_a_tuple_names_one_path_of_a_datastore(store, put):
    """Three parts are not three paths, of which the first is the whole datastore."""
    put("a/1.txt")
    put("b/2.txt")
    for wrong in ((store, "a", "b"), (store, ["a", "b"]), (store,), [(store, "a", "b")]):
        for call in (Dataset.File.from_files, Dataset.Tabular.from_delimited_files):
            with pytest.raises(UserErrorException, match=r"\(datastore, path\) tuple"):
                call(wrong)
    assert Dataset.File.from_files([(store, "a"), (store, "b")]).to_path() == [
        "/a/1.txt",
        "/b/2.txt",
    ]
    assert Dataset.File.from_files((store, "a")).to_path() == ["/1.txt"]


def test_folders_before_the_first_column_are_part_of_the_format(store, put):
    """A format of other folders is refused, and one with the right folders begins after them."""
    put("sales/2020/01/rome.csv")
    put("sales/2020/02/oslo.csv")

    def read(text: str) -> list[dict]:
        made = Dataset.File.from_files((store, "sales/**/*.csv"), partition_format=text)
        return made.get_partition_key_values()

    found = [
        {"year": "2020", "month": "01", "name": "rome"},
        {"year": "2020", "month": "02", "name": "oslo"},
    ]
    assert read("/sales/{year}/{month}/{name}.csv") == found
    assert read("sales/{year}/{month}/{name}.csv") == found
    assert read("**/{year}/{month}/{name}.csv") == found
    assert read("/sales/{year}/*/{name}.csv")[0] == {"year": "2020", "name": "rome"}
    for wrong in ("/WRONG/{month}/{name}.csv", "/sales/{month}/{name}.csv", "{name}", "les/{name}"):
        with pytest.raises(UserErrorException, match="does not fit the partition_format"):
            read(wrong)


def test_a_date_in_paths_needs_its_year(store, put):
    """As in v1 there is one date, with a year; its parts may be there twice."""
    from datetime import datetime

    put("2020/05/20200517.csv")
    made = Dataset.File.from_files((store, "**"), partition_format="{day:yyyy/MM/yyyyMMdd}.csv")

    assert made.get_partition_key_values() == [{"day": datetime(2020, 5, 17)}]
    for wrong, word in (("{d:MM}", "no 'yyyy'"), ("{y:yyyy}/{d:yyyyMM}", "two dates")):
        with pytest.raises(UserErrorException, match=word):
            Dataset.File.from_files((store, "**"), partition_format=f"{wrong}.csv")


@pytest.mark.parametrize("call", ["as_hdfs", "as_cache", "hydrate", "to_dask_dataframe"])
def test_what_is_not_served_is_refused_by_name(store, call):
    """A v1 feature that is not here says so and what to use."""
    with pytest.raises(NotServedError, match=call):
        getattr(Dataset.File.from_files((store, "x")), call)()


@pytest.mark.parametrize("share", [-0.1, 1.1, True, "half"])
def test_a_share_is_between_0_and_1(store, share):
    """Splits and samples take shares."""
    with pytest.raises(UserErrorException, match="between 0 and 1"):
        Dataset.File.from_files((store, "x")).random_split(share)
