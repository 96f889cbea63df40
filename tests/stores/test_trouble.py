"""Stores that cannot be used, break off or come back, and what is said about it."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from airflow_aml.errors import NotServedError, WorkspaceException
from airflow_aml.workspace.stores import open_store
from airflow_aml.workspace.stores.base import Store
from airflow_aml.workspace.stores.remote import FsspecStore
from airflow_aml.workspace.stores.trouble import Secrets
from scripts.test_servers import AZURE_KEY, Server
from scripts.wire import Wire
from tests.stores.places import Place, between_processes, remote_only

WRONG_KEY = "d3JvbmcgYWNjb3VudCBrZXkgd3JvbmcgYWNjb3VudCBrZXkh"
ROOT = Path(__file__).parents[2]


def test_wrong_azure_key(azurite: Server, caplog: pytest.LogCaptureFixture) -> None:
    """A wrong account key is one clear error, and neither it nor any log tells the key."""
    options = {
        "connection_string": azurite.options["connection_string"].replace(AZURE_KEY, WRONG_KEY)
    }
    _assert_refused_in_silence("abfs://tests/x", options, WRONG_KEY, caplog)


def test_wrong_sas_token(azurite: Server, caplog: pytest.LogCaptureFixture) -> None:
    """The same holds for a token that is part of every request's URL."""
    sas = "?sv=2024-11-04&ss=b&srt=co&sp=rwl&se=2030-01-01&sig=c2VjcmV0LXNpZ25hdHVyZQ%3D%3D"
    connection = (
        "DefaultEndpointsProtocol=http;"
        f"BlobEndpoint={azurite.url};SharedAccessSignature={sas.lstrip('?')}"
    )
    options = {"connection_string": connection}
    _assert_refused_in_silence("abfs://tests/x", options, "c2VjcmV0", caplog)


def test_wrong_s3_secret(s3: Server, caplog: pytest.LogCaptureFixture) -> None:
    """S3's refusal is told as the same kind of error."""
    options = {**s3.options, "secret": "a-wrong-secret-of-somebody"}
    _authorise(s3, "0")
    try:
        _assert_refused_in_silence("s3://tests/x", options, options["secret"], caplog)
    finally:
        _authorise(s3, "inf")


def test_credentials_of_no_form(azurite: Server) -> None:
    """What is no connection string or key at all is refused without being shown."""
    good = azurite.options["connection_string"]
    for connection in ("nonsense", good.replace(AZURE_KEY, "no-key")):
        with pytest.raises(WorkspaceException, match=r"cannot be opened|refuses") as caught:
            open_store("abfs://tests", {"connection_string": connection}).read("x")
        assert connection not in _everything(caught.value)
        assert "no-key" not in _everything(caught.value)


def test_secrets_are_masked_in_texts() -> None:
    """Keys, tokens and signatures become stars, quoted or not, however deep in the options."""
    secrets = Secrets(
        {
            "account_name": "team",
            "account_key": "k+/=y1",
            "client_kwargs": {"aws_session_token": "t0ken"},
            "connection_string": "AccountName=team;AccountKey=in/side==;",
        }
    )
    text = "team k+/=y1 k%2B%2F%3Dy1 t0ken in/side== in%2Fside%3D%3D https://x?sig=abc%3D&sv=1"
    assert secrets.masked(text) == "team *** *** *** *** *** https://x?sig=***&sv=1"
    assert "t0ken" not in repr(secrets)


@remote_only
def test_no_credential_in_a_stores_text(place: Place) -> None:
    """Neither repr nor URL of a store shows what it was opened with."""
    store = place.open()
    shown = f"{store!r} {store} {store.url} {store.uri('a')} {vars(store)}"
    for secret in ("AccountKey", AZURE_KEY, place.options.get("secret", AZURE_KEY)):
        assert secret not in shown


@remote_only
@pytest.mark.parametrize("name", ["not-there", "ab"])
def test_missing_container_is_named(place: Place, tmp_path: Path, name: str) -> None:
    """A container or bucket that is not there, or cannot be, is named by every method."""
    scheme = place.url.partition(":")[0]
    store = open_store(f"{scheme}://{name}/folder", place.options)
    (tmp_path / "file").write_bytes(b"1")
    local = str(tmp_path / "file")
    for attempt in (
        lambda: store.read("x"),
        lambda: store.write("x", b""),
        lambda: store.create("x", b""),
        lambda: store.exists("x"),
        lambda: list(store.find()),
        store.children,
        lambda: store.upload([(local, "x")]),
        lambda: store.download([("x", str(tmp_path / "other"))]),
    ):
        with pytest.raises(
            WorkspaceException, match=rf"no (container|bucket) named '{name}'.*3 to"
        ):
            attempt()


@pytest.mark.parametrize("url", ["gs://bucket/x", "https://account.blob.core.windows.net/c"])
def test_unknown_scheme_is_named(url: str) -> None:
    """Another kind of store is refused, with the kinds that there are."""
    with pytest.raises(NotServedError, match=r"abfs.*s3.*memory"):
        open_store(url)


@pytest.mark.parametrize("url", ["folder", "", "c:\\data", "s3:bucket"])
def test_what_is_no_url(url: str) -> None:
    """A relative path is no store's name."""
    with pytest.raises(WorkspaceException, match="neither a URL nor an absolute path"):
        open_store(url)


@pytest.mark.parametrize("url", ["s3://user:pass@bucket/x", "abfs://:pass@account/x", "s3:///x"])
def test_credentials_in_a_url_are_refused(url: str) -> None:
    """A password in a URL would be shown everywhere, so it is refused, and not shown."""
    with pytest.raises(WorkspaceException, match="container or bucket alone") as caught:
        open_store(url)
    assert "pass@" not in _everything(caught.value)


@pytest.mark.parametrize(
    ("url", "package", "extra"), [("abfs://tests", "adlfs", "azure"), ("s3://tests", "s3fs", "s3")]
)
def test_missing_package_is_named(url: str, package: str, extra: str) -> None:
    """Where the package for a store is not installed, the error says what to install."""
    program = f"from airflow_aml.workspace.stores import open_store; open_store({url!r})"
    command = [sys.executable, "-S", "-c", program]  # without what is installed
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert f"pip install 'airflow-provider-aml[{extra}]'" in done.stderr
    assert package in done.stderr


def test_opening_loads_nothing_it_does_not_need(tmp_path: Path) -> None:
    """A local store is standard library alone."""
    program = (
        "import sys\n"
        "from airflow_aml.workspace.stores import open_store\n"
        "store = open_store(sys.argv[1])\n"
        "store.write('a/b', b'1')\n"
        "assert [each.path for each in store.find()] == ['a/b']\n"
        "print([name for name in ('fsspec', 'asyncio', 'adlfs', 's3fs') if name in sys.modules])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT, check=True,
    )  # fmt: skip
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("abfs://data/a/b/", "abfs://data/a/b"),
        ("ABFS://data", "abfs://data"),
        (
            "abfss://data@team.dfs.core.windows.net/a",
            "abfss://data@team.dfs.core.windows.net/a",
        ),
        ("s3a://bucket//a", "s3a://bucket/a"),
    ],
)
def test_urls_have_one_form(url: str, expected: str) -> None:
    """A store's URL ends without a slash, and names Azure's account where it was named."""
    store = open_store(url)
    assert store.url == expected
    assert store.uri("x") == f"{expected}/x"


@between_processes
def test_killed_upload_goes_on_where_it_was(place: Place, tmp_path: Path) -> None:
    """After kill -9 in mid-upload nothing is half there, and what is there is not sent again."""
    pairs = _sources(tmp_path, 150)
    process = _start(place, "upload", pairs)
    seen = _kill_after(process, 20)
    store = place.open()
    before = {each.path: each for each in store.find()}
    assert seen <= len(before) < len(pairs)
    assert {each.size for each in before.values()} == {60_000}

    store.upload(pairs)
    after = {each.path: each for each in store.find()}
    assert len(after) == len(pairs)
    # Azure's and a disk's versions change with every write, also of the same bytes.
    assert all(after[path].version == before[path].version for path in before)


@remote_only
def test_killed_download_leaves_only_whole_files(place: Place, tmp_path: Path) -> None:
    """After kill -9 in mid-download every file is whole or absent, and the rest comes later."""
    sources = _sources(tmp_path, 150)
    store = place.open()
    store.upload(sources)
    pairs = [(path, str(tmp_path / "targets" / path)) for _, path in sources]
    seen = _kill_after(_start(place, "download", pairs), 20)
    there = [target for _, target in pairs if os.path.exists(target)]
    assert seen <= len(there) < len(pairs)
    assert {os.stat(target).st_size for target in there} == {60_000}

    store.download(pairs)
    for (source, _), (_, target) in zip(sources, pairs, strict=True):
        assert Path(target).read_bytes() == Path(source).read_bytes()


@remote_only
def test_connection_that_comes_back(place: Place, tmp_path: Path) -> None:
    """A store that is away for a moment in mid-upload costs time and nothing else."""
    assert place.server is not None
    with Wire(place.server.port) as wire:
        store = open_store(place.url, place.server.options_at(wire.port))
        cuts: list[threading.Timer] = []

        def cut_once(files: int, size: int) -> None:
            if not cuts:
                wire.cut()
                cuts.append(threading.Timer(0.5, wire.mend))
                cuts[0].start()

        store.upload(_sources(tmp_path, 200), cut_once)
        cuts[0].join()
        assert len(list(store.find())) == 200


@remote_only
def test_server_that_says_nothing(place: Place, tmp_path: Path) -> None:
    """A store that takes connections and never answers is an error soon, whatever it is asked."""
    assert place.server is not None
    (tmp_path / "small").write_bytes(b"2")
    (tmp_path / "large").write_bytes(os.urandom(20 << 20))
    with Wire(place.server.port) as wire:
        store = open_store(place.url, _patient(place.kind, place.server.options_at(wire.port), 0.5))
        assert isinstance(store, FsspecStore)
        store.delays = (0.01,)
        store.write("x", b"1")
        wire.hold()
        started = time.monotonic()
        for attempt in (
            lambda: store.read("x"),
            # What is on its way may still arrive, so nothing is written that is read below.
            lambda: store.write("z", b"2"),
            lambda: list(store.find()),
            lambda: store.upload([(str(tmp_path / "small"), "y")]),
            lambda: store.download([("x", str(tmp_path / "x"))]),
        ):
            with pytest.raises(WorkspaceException, match="does not answer"):
                attempt()
        assert time.monotonic() - started < 60
        wire.mend()
        assert store.read("x") == b"1"
        store.upload([(str(tmp_path / "large"), "large")])
        assert [each.size for each in store.find("large")] == [20 << 20]


@remote_only
def test_connection_that_stays_away(place: Place, tmp_path: Path) -> None:
    """A store that goes for good in mid-upload is an error; called again, the upload completes."""
    assert place.server is not None
    with Wire(place.server.port) as wire:
        store = open_store(place.url, place.server.options_at(wire.port))
        assert isinstance(store, FsspecStore)
        store.delays = (0.01,)
        pairs = _sources(tmp_path, 200)
        with pytest.raises(WorkspaceException, match="does not answer"):
            store.upload(pairs, lambda files, size: wire.cut())
        with pytest.raises(WorkspaceException, match="does not answer"):
            store.read("x")
        wire.mend()
        store.upload(pairs)
        assert len(list(store.find())) == 200


@remote_only
def test_store_survives_a_fork(place: Place) -> None:
    """A store that was used before a fork works on both sides of it."""
    store = place.open()
    store.write("before", b"1")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            store.write("child", store.read("before"))
            code = 0
        finally:
            os._exit(code)
    deadline = time.monotonic() + 30
    while os.waitpid(child, os.WNOHANG)[0] == 0:
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
    assert store.read("child") == b"1"


@remote_only
def test_large_file_is_resumed_too(place: Place, tmp_path: Path) -> None:
    """A file that goes in parts arrives whole, reports on its way, and is not sent again."""
    data = os.urandom(1 << 20) * 40
    (tmp_path / "large").write_bytes(data)
    store = place.open()
    told: list[int] = []
    store.upload([(str(tmp_path / "large"), "large")], lambda _, size: told.append(size))
    assert sum(told) == len(data)
    store.download([("large", str(tmp_path / "back"))])
    assert (tmp_path / "back").read_bytes() == data
    _assert_not_sent_again(store, tmp_path / "large", "large")


def test_broken_link_in_a_local_store(tmp_path: Path) -> None:
    """A link that leads nowhere is told, not left out of a listing."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "link").symlink_to(tmp_path / "nothing")
    with pytest.raises(WorkspaceException, match=r"folder/link.*leads nowhere"):
        open_store(str(tmp_path)).find()


def test_half_written_files_are_not_listed(tmp_path: Path) -> None:
    """What a killed process left of a write in a local store is nobody's file."""
    store = open_store(str(tmp_path))
    store.write("folder/name", b"1")
    (tmp_path / "folder" / ".other.123-0123abcd.tmp").write_bytes(b"half")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".other.123-0123abcd.tmp").write_bytes(b"half")
    assert [each.path for each in store.find()] == ["folder/name"]
    assert store.children() == ["folder/"]
    assert store.children("folder") == ["name"]
    assert not store.exists("empty/")


def _assert_refused_in_silence(
    url: str, options: dict, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    store = open_store(url, options)
    with pytest.raises(WorkspaceException, match="refuses these credentials") as caught:
        store.read("name")
    assert secret not in _everything(caught.value)
    assert secret not in caplog.text
    with pytest.raises(WorkspaceException, match="refuses these credentials"):
        store.upload([(__file__, "name")])


def _everything(error: BaseException) -> str:
    return f"{error!r} {error} {''.join(traceback.format_exception(error))}"


def _authorise(server: Server, requests: str) -> None:
    """Lets that many requests pass before the server looks at credentials."""
    address = f"{server.url}/moto-api/reset-auth"
    urlopen(Request(address, requests.encode(), {"Content-Type": "text/plain"})).close()


def _patient(kind: str, options: dict[str, Any], seconds: float) -> dict[str, Any]:
    """The options of a client that waits so long for an answer."""
    if kind == "azure":
        return {**options, "read_timeout": seconds}
    return {**options, "config_kwargs": {"read_timeout": seconds}}


def _sources(tmp_path: Path, count: int) -> list[tuple[str, str]]:
    folder = tmp_path / "sources"
    folder.mkdir()
    pairs = []
    for number in range(count):
        (folder / f"{number}").write_bytes(os.urandom(60_000))
        pairs.append((str(folder / f"{number}"), f"in/{number}"))
    return pairs


def _start(place: Place, verb: str, pairs: list[tuple[str, str]]) -> subprocess.Popen[str]:
    """A process that transfers the files, slowly enough to be caught at it, and counts aloud."""
    program = (
        "import sys, time\n"
        "from airflow_aml.workspace.stores import open_store\n"
        f"store = open_store({place.url!r}, {place.options!r})\n"
        "count = 0\n"
        "def tell(files, size):\n"
        "    global count\n"
        "    count += files\n"
        "    print(count, flush=True)\n"
        f"pairs = {pairs!r}\n"
        "for start in range(0, len(pairs), 10):\n"
        f"    store.{verb}(pairs[start:start + 10], tell)\n"
        "    time.sleep(0.05)\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, cwd=ROOT
    )


def _kill_after(process: subprocess.Popen[str], files: int) -> int:
    """Kills the process once it has finished that many files; returns how many it told of."""
    assert process.stdout is not None
    count = 0
    while count < files:
        line = process.stdout.readline()
        assert line, "the process ended by itself"
        count = int(line)
    process.kill()
    rest = process.stdout.read().split()
    process.wait()
    return int(rest[-1]) if rest else count


def _assert_not_sent_again(store: Store, local: Path, path: str) -> None:
    (before,) = store.find(path)
    started = time.monotonic()
    store.upload([(str(local), path)])
    assert store.find(path).__next__() == before
    assert time.monotonic() - started < 5
