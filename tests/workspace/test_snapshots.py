"""Snapshots: which files are a step's source, and that they are stored once and for all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_aml.errors import SnapshotException
from airflow_aml.workspace import layout, snapshots
from airflow_aml.workspace.home import Home, open_home
from airflow_aml.workspace.snapshots import Snapshot, digest_of, extract, take
from airflow_aml.workspace.snapshotstore import TAKEN, read_note


def files(snapshot: Snapshot) -> list:
    with zipfile.ZipFile(snapshot.path) as archive:
        return archive.namelist()


def make(folder: Path, *names: str, **contents: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    for name, text in contents.items():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_sources_go_in_and_come_out(tmp_path: Path, home: Home) -> None:
    """What is taken is what is unpacked: names, bytes, the right to execute."""
    source = make(tmp_path / "src", "train.py", "lib/é ü.py", "run.sh", "empty")
    (source / "empty").write_bytes(b"")
    (source / "big.bin").write_bytes(os.urandom(3_000_000))
    (source / "run.sh").chmod(0o755)
    snapshot = take(source, home)
    assert files(snapshot) == ["big.bin", "empty", "lib/é ü.py", "run.sh", "train.py"]
    assert (snapshot.files, snapshot.warnings) == (5, ())
    assert snapshot.bytes == sum(p.stat().st_size for p in source.rglob("*") if p.is_file())
    extract(snapshot.path, tmp_path / "out")
    for path in source.rglob("*"):
        copy = tmp_path / "out" / path.relative_to(source)
        assert copy.is_dir() if path.is_dir() else copy.read_bytes() == path.read_bytes()
    assert os.access(tmp_path / "out" / "run.sh", os.X_OK)
    assert (tmp_path / "out" / "train.py").stat().st_mode & 0o111 == 0


def test_golden_snapshot(tmp_path: Path, home: Home) -> None:
    """Digest and stored bytes do not change from release to release, nor with what is installed."""
    source = make(tmp_path / "src", **{"train.py": "print(1)\n", "é x.txt": "ü"})
    snapshot = take(source, home)
    assert (
        snapshot.digest == "sha256:e463effe16104e68b5d36ef02b476fc5e59c380083c64a4e5b243dbce761ee1e"
    )
    stored = "abf1ce20d3dc3a56f17574ef961107a25f10cfb012dbedf9d6bff60b358f34c2"
    assert hashlib.sha256(snapshot.path.read_bytes()).hexdigest() == stored


def test_only_content_counts(tmp_path: Path, home: Home) -> None:
    """Another checkout at another time with other rights is the same snapshot, stored once."""
    first = take(make(tmp_path / "one", "a.py", "lib/b.py"), home)
    stored = first.path.stat().st_mtime_ns
    second = make(tmp_path / "elsewhere" / "two", "lib/b.py", "a.py")
    (second / "empty folder").mkdir()
    os.utime(second / "a.py", (0, 0))
    (second / "a.py").chmod(0o600)
    again = take(second, home)
    assert (again.digest, again.path) == (first.digest, first.path)
    assert first.path.stat().st_mtime_ns == stored


def test_right_to_execute_arrives_without_a_new_identity(tmp_path: Path, home: Home) -> None:
    """Who forgot chmod +x and adds it later gets it, and the digest stays."""
    source = make(tmp_path / "src", "run.sh")
    first = take(source, home)
    (source / "run.sh").chmod(0o755)
    assert take(source, home).digest == first.digest
    extract(first.path, tmp_path / "out")
    assert os.access(tmp_path / "out" / "run.sh", os.X_OK)


def test_amlignore_alone_counts(tmp_path: Path, home: Home) -> None:
    """With an .amlignore the .gitignore says nothing; without, it does."""
    source = make(tmp_path / "src", "a.py", "b.log", "c.csv")
    (source / ".gitignore").write_text("*.log\n")
    assert files(take(source, home)) == [".gitignore", "a.py", "c.csv"]
    (source / ".amlignore").write_text("*.csv\n")
    assert files(take(source, home)) == [".amlignore", ".gitignore", "a.py", "b.log"]


def test_ignore_file_counts_at_the_root_only(tmp_path: Path, home: Home) -> None:
    """An ignore file in a subfolder is a file like others."""
    source = make(tmp_path / "src", "sub/a.py")
    (source / "sub" / ".gitignore").write_text("*.py\n")
    assert files(take(source, home)) == ["sub/.gitignore", "sub/a.py"]


IGNORE_FILES = [
    "*.log",
    "data/",
    "/data",
    "data",
    "*\n!*.py",
    "*\n!*/\n!*.py",
    "/*\n!/src",
    "/*\n!/src/\n/src/*\n!/src/a.py",
    "src/*\n!src/sub/",
    "src/\n!src/a.py",
    "**/x.log",
    "src/**/x.log",
    "src/**",
    "# nothing\n\n   \n\\#odd",
    "sub/x.log",
    "*.[lc]*",
    "data/*\n!data/keep.csv",
    "!*.log\n*.log",
    "a b.txt\ntrailing \\ ",
    "ü*",
    "*.LOG",
    "src/sub\r\n*.csv\r",
    "\ufeff*.py",
]


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
@pytest.mark.parametrize("text", IGNORE_FILES)
def test_patterns_mean_what_git_says(tmp_path: Path, home: Home, text: str) -> None:
    """For every kind of pattern the snapshot holds what git itself would not ignore."""
    names = ["a.py", "x.log", "#odd", "a b.txt", "ü1", "data/keep.csv", "data/d.csv"]
    names += ["src/a.py", "src/x.log", "src/sub/x.log", "src/sub/deep/b.py", "sub/x.log", "data.py"]
    source = make(tmp_path / "src", *names)
    (source / ".gitignore").write_bytes(text.encode())
    environ = {**os.environ, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(tmp_path)}
    git = ["git", "-c", "core.excludesFile=", "-C", str(source)]
    subprocess.run([*git, "init", "-q"], check=True, env=environ)
    listed = [*git, "ls-files", "-z", "--others", "--exclude-standard"]
    output = subprocess.run(listed, check=True, env=environ, capture_output=True).stdout
    expected = sorted(name for name in output.decode().split("\0") if name)
    assert files(take(source, home)) == expected


def test_litter_never_counts(tmp_path: Path, home: Home) -> None:
    """Caches, git's own files and editors' leavings are no source, even if rules ask for them."""
    source = make(tmp_path / "src", "a.py", "__pycache__/a.pyc", "old.pyc", "lib/__pycache__/b.txt")
    make(source, ".git/HEAD", ".ipynb_checkpoints/n.ipynb", "a.py~", ".a.py.swp", ".DS_Store")
    make(source, "lib/.#b.py", ".env", "swp", "lib/x.swp")
    assert files(take(source, home)) == [".env", "a.py", "lib/x.swp", "swp"]
    (source / ".amlignore").write_text("!__pycache__/\n!*.pyc\n!.git\n")
    assert files(take(source, home)) == [".amlignore", ".env", "a.py", "lib/x.swp", "swp"]


def test_workspace_inside_the_source_is_not_source(tmp_path: Path, monkeypatch) -> None:
    """A project with its Airflow home inside keeps one digest while runs come and go."""
    source = make(tmp_path / "project", "train.py")
    monkeypatch.setenv("AIRFLOW_HOME", str(source / ".airflow"))
    make(source, ".airflow/logs/x.log", ".airflow/airflow.db", ".airflow/webserver_config.py")
    home = open_home(str(source / ".airflow" / "aml"))
    first = take(source, home)
    assert files(first) == [".airflow/webserver_config.py", "train.py"]
    make(source, ".airflow/logs/y.log", ".airflow/aml/data/1/out")
    assert take(source, home).digest == first.digest
    (tmp_path / "alias").symlink_to(source)
    assert take(tmp_path / "alias", home).digest == first.digest
    with pytest.raises(SnapshotException, match="the workspace itself"):
        take(home.root, home)


def test_links_are_followed_and_never_hang(tmp_path: Path, home: Home) -> None:
    """Links bring in what they lead to; those that lead nowhere or round are left out, and said."""
    shared = make(tmp_path / "shared", "util.py", "deep/more.py")
    source = make(tmp_path / "src", "a.py", "sub/b.py")
    (source / "shared").symlink_to(shared)
    (source / "util.py").symlink_to(shared / "util.py")
    (source / "gone").symlink_to("nowhere")
    (source / "sub" / "up").symlink_to("..")
    (source / "self").symlink_to("self")
    os.mkfifo(source / "pipe")
    snapshot = take(source, home)
    expected = ["a.py", "shared/deep/more.py", "shared/util.py", "sub/b.py", "util.py"]
    assert files(snapshot) == expected
    warned = sorted(text.split("'")[1] for text in snapshot.warnings)
    assert warned == ["gone", "pipe", "self", "sub/up"]


def test_ignored_oddities_are_not_mentioned(tmp_path: Path, home: Home) -> None:
    """What an ignore file names is not looked at, so nothing is said about it."""
    source = make(tmp_path / "src", "a.py", ".amlignore")
    (source / ".amlignore").write_text("gone\n.amlignore\n")
    (source / "gone").symlink_to("nowhere")
    snapshot = take(source, home)
    assert (files(snapshot), snapshot.warnings) == (["a.py"], ())


def test_missing_and_wrong_folders_are_named(tmp_path: Path, home: Home) -> None:
    """A folder that is not there, or is a file, is an error that names it."""
    with pytest.raises(SnapshotException, match=r"nowhere.*does not exist"):
        take(tmp_path / "nowhere", home)
    (tmp_path / "file").write_text("")
    with pytest.raises(SnapshotException, match=r"file.*is not a folder"):
        take(tmp_path / "file", home)


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs /proc")
def test_unreadable_file_is_named(tmp_path: Path, home: Home) -> None:
    """A file whose reading fails is named, with what to do."""
    source = make(tmp_path / "src", "a.py")
    (source / "odd.bin").symlink_to("/proc/self/mem")
    with pytest.raises(SnapshotException, match=r"odd\.bin.*amlignore|cannot be read.*amlignore"):
        take(source, home)


def test_forbidden_file_is_named() -> None:
    """A file that this user may not read is named."""
    program = (
        "import hashlib, os, sys\n"
        "from airflow_aml.workspace import snapshots\n"
        "from airflow_aml.workspace.home import Home\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try: snapshots.take(sys.argv[1], Home('file:///nowhere', 'x', 'x'))\n"
        "except snapshots.SnapshotException as error: print(error)\n"
    )
    # Not pytest's own folder, which other users cannot even enter.
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        make(Path(name), "a.py", "secret.key")
        os.chmod(f"{name}/secret.key", 0)
        command = [sys.executable, "-c", program, name]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "secret.key cannot be read: Permission denied" in answer.stdout, answer


@pytest.mark.parametrize("remembered", [False, True])
def test_scripts_have_to_count_as_source(tmp_path: Path, home: Home, remembered: bool) -> None:
    """Also in folders, by other spellings, and where the folder has been looked at before."""
    source = make(tmp_path / "src", "train.py", "lib/fit.py", "lib/old.py")
    (source / ".gitignore").write_text("old.py\n")
    if remembered:
        take(source, home)
    scripts = ["train.py", "./train.py", "lib/fit.py", "lib//fit.py"]
    assert take(source, home, scripts=scripts).digest == digest_of(source, home, scripts)[0]
    for wrong in ("lib/old.py", "old.py", "fit.py", "lib"):
        with pytest.raises(SnapshotException, match=f"script '{wrong}' does not count as source"):
            take(source, home, scripts=[*scripts, wrong])
        with pytest.raises(SnapshotException, match=f"script '{wrong}' does not count as source"):
            digest_of(source, home, [*scripts, wrong])


def test_ignore_file_that_is_no_text(tmp_path: Path, home: Home) -> None:
    """An ignore file that is not UTF-8 is named."""
    source = make(tmp_path / "src", "a.py")
    (source / ".amlignore").write_bytes(b"caf\xe9\n")
    with pytest.raises(SnapshotException, match=r"\.amlignore.*cannot be used"):
        take(source, home)


def test_large_sources_are_a_warning(tmp_path: Path, home: Home, monkeypatch) -> None:
    """What Azure ML refused is a warning, which says so where no folder was named."""
    monkeypatch.setattr(snapshots, "MANY_BYTES", 3 * 2**20)
    source = make(tmp_path / "src", *(f"f{n}" for n in range(2001)))
    (source / "big").write_bytes(bytes(4 * 2**20))
    declared = take(source, home).warnings
    assert ["4 MB" in text or "2,002 files" in text for text in declared] == [True, True]
    undeclared = take(source, home, declared=False).warnings
    assert all("names no source_directory" in text for text in undeclared)
    assert len(undeclared) == 2
    assert not any("names no" in text for text in declared)


@pytest.mark.parametrize(
    "damage", [lambda d: d[:-10], lambda d: d[10:], lambda d: b"", lambda d: d + d]
)
def test_damaged_store_is_repaired(tmp_path: Path, home: Home, damage) -> None:
    """A stored snapshot of the wrong size is written anew."""
    source = make(tmp_path / "src", "a.py", "b.py")
    snapshot = take(source, home)
    whole = snapshot.path.read_bytes()
    snapshot.path.write_bytes(damage(whole))
    assert take(source, home) == snapshot
    assert snapshot.path.read_bytes() == whole


def test_many_processes_store_at_once(tmp_path: Path, home: Home) -> None:
    """Eight processes that store one folder at once leave one whole zip and nothing else."""
    source = make(tmp_path / "src", "a.py")
    (source / "big").write_bytes(os.urandom(2_000_000))
    program = (
        "import sys\n"
        "from airflow_aml.workspace.home import open_home\n"
        "from airflow_aml.workspace.snapshots import take\n"
        "print(take(sys.argv[1], open_home(sys.argv[2])).digest)\n"
    )
    command = [sys.executable, "-c", program, str(source), str(home.root)]
    started = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(8)]
    digests = {process.communicate()[0].decode().strip() for process in started}
    snapshot = take(source, home)
    assert digests == {snapshot.digest}
    assert os.listdir(snapshot.path.parent) == [snapshot.path.name]
    extract(snapshot.path, tmp_path / "out")


def test_file_that_changes_while_it_is_read(tmp_path: Path, home: Home) -> None:
    """What is stored always is what its digest says, also when someone writes meanwhile."""
    source = make(tmp_path / "src", "a.py")
    program = (
        "import sys\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    open(sys.argv[1], 'w').write(str(n) * 50000)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", program, str(source / "log.txt")])
    try:
        taken = set()
        for _ in range(30):
            with contextlib.suppress(SnapshotException):
                taken.add(take(source, home).digest)
    finally:
        writer.kill()
        writer.wait()
    for number, digest in enumerate(sorted(taken)):
        folder = tmp_path / f"out{number}"
        extract(home.path(snapshots.layout.snapshot(digest)), folder)
        assert take(folder, home).digest == digest


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "a/../../evil", "a/..", ".."])
@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_entries_that_climb_out_are_refused(tmp_path: Path, name: str, compression: int) -> None:
    """A zip that somebody prepared writes nothing outside of the folder."""
    with zipfile.ZipFile(tmp_path / "evil.zip", "w", compression) as archive:
        archive.writestr(name, "evil")
    with pytest.raises(SnapshotException, match="outside of the source folder"):
        extract(tmp_path / "evil.zip", tmp_path / "inner" / "out")
    assert not list(tmp_path.rglob("evil"))


def test_other_zips_are_read_too(tmp_path: Path) -> None:
    """A zip of another program, compressed and with folders, is unpacked as well."""
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/", "")
        archive.writestr("sub/a.txt", "a" * 10_000)
    extract(tmp_path / "x.zip", tmp_path / "out")
    assert (tmp_path / "out" / "sub" / "a.txt").read_text() == "a" * 10_000
    assert (tmp_path / "out" / "folder").is_dir()


def test_damage_is_noticed_when_unpacking(tmp_path: Path, home: Home) -> None:
    """A flipped bit, a cut file, a missing file: each is an error that says what to do."""
    snapshot = take(make(tmp_path / "src", "train.py"), home)
    whole = snapshot.path.read_bytes()
    flipped = whole.replace(b"train.pytrain.py", b"train.pytrain.pz", 1)
    assert flipped != whole
    for number, data in enumerate([flipped, whole[:-30], whole[:20], b""]):
        snapshot.path.write_bytes(data)
        with pytest.raises(SnapshotException, match="Run the pipeline again"):
            extract(snapshot.path, tmp_path / f"out{number}")
    snapshot.path.unlink()
    with pytest.raises(SnapshotException, match="it is not there"):
        extract(snapshot.path, tmp_path / "out")


NAMES = st.text(st.characters(whitelist_categories=("L", "N", "Zs")), min_size=1, max_size=6)
SOURCES = st.dictionaries(NAMES.map("{}.py".format), st.binary(max_size=20), min_size=1, max_size=6)


@settings(max_examples=40, deadline=None)
@given(SOURCES, st.randoms(use_true_random=False), st.data())
def test_identity_is_names_and_bytes(tmp_path_factory, sources: dict, order, data) -> None:
    """Any order of creation gives one digest, and any changed byte or name another."""
    base = tmp_path_factory.mktemp("sources")
    home = open_home(str(base / "ws"))

    def digest(label: str, tree: dict) -> str:
        (base / label).mkdir()
        names = list(tree)
        order.shuffle(names)
        for name in names:
            (base / label / name).write_bytes(tree[name])
        snapshot = take(base / label, home)
        extract(snapshot.path, base / f"{label}-out")
        out = {path.name: path.read_bytes() for path in (base / f"{label}-out").iterdir()}
        assert out == tree
        return snapshot.digest

    first = digest("one", sources)
    assert digest("two", sources) == first
    name = data.draw(st.sampled_from(sorted(sources)))
    assert digest("longer", {**sources, name: sources[name] + b"\0"}) != first
    renamed = dict(sources)
    renamed[name + "x"] = renamed.pop(name)
    assert digest("renamed", renamed) != first


def test_taking_order_is_not_the_disks(tmp_path: Path, home: Home) -> None:
    """Names that sort differently by locale, case or length come in one order."""
    names = ["b", "B", "a.b", "a/b", "a-b", "ä", "Z", "a/b.c", "10", "9"]
    random.Random(1).shuffle(names)
    listed = files(take(make(tmp_path / "src", *[n for n in names if n != "a"]), home))
    assert listed == sorted(listed)


def test_a_snapshot_that_is_there_is_not_sent_again(tmp_path: Path) -> None:
    """In an object store a snapshot is written once, and anew if it is not whole any more, or is
    gone, or a file of it has become executable."""
    home = open_home(f"memory://{uuid.uuid4().hex}/aml")
    source = make(tmp_path / "src", "train.py", "run.sh")
    place = layout.snapshot(take(source, home).digest)
    whole = home.store.read(place)

    home.store.write(place, b"x" * len(whole))  # to see whether it is written
    take(source, home)
    assert home.store.read(place) == b"x" * len(whole)

    home.store.write(place, whole[:-5])
    take(source, home)
    assert home.store.read(place) == whole

    home.store.delete([place])
    take(source, home)
    assert home.store.read(place) == whole

    (source / "run.sh").chmod(0o755)
    assert layout.snapshot(take(source, home).digest) == place
    assert home.store.read(place) != whole
    assert len(home.store.read(place)) == len(whole)


@pytest.mark.parametrize("remote", [False, True])
def test_taking_a_snapshot_says_that_it_is_in_use(tmp_path: Path, remote: bool) -> None:
    """Also one that is there: whoever looks for forgotten ones sees when it was taken last."""
    url = f"memory://{uuid.uuid4().hex}/aml" if remote else str(tmp_path / "workspace")
    home = open_home(url)
    source = make(tmp_path / "src", "train.py")
    snapshot = take(source, home)
    place = layout.snapshot(snapshot.digest)
    long_ago = time.time() - 2 * 86400
    if remote:
        note = json.loads(home.store.read(place + TAKEN))
        home.store.write(place + TAKEN, json.dumps({**note, "taken": long_ago}).encode())
    else:
        os.utime(snapshot.path, (long_ago, long_ago))

    take(source, home)

    note = read_note(home, place)
    taken = note["taken"] if note else snapshot.path.stat().st_mtime
    assert time.time() - taken < 60
