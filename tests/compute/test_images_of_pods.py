"""What counts of a pod's image: what its name stands for in its registry when a run is planned."""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from airflow_aml.cli import main
from airflow_aml.compute.registry import digest_of, parsed, pinned
from airflow_aml.errors import ComputeTargetException
from scripts.docker_engine import IMAGE
from scripts.image_registry import image_registry
from scripts.test_servers import NotInstalledError

FILE = """
# airflow dag
from airflow_aml import *
step = PythonScriptStep("show.py", name="show", source_directory="src", compute_target="pods")
Pipeline(Workspace(), [step]).submit("pods")
"""
MANIFEST = b'{"schemaVersion": 2}'
# htpasswd -bnB reader sesame
PASSWORDS = "reader:$2b$05$abcdefghijklmnopqrstuuKcS.CYWVYVaLiiCKrrc0A5s3mGesJ9O\n"


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("train", ("docker.io", "library/train", "latest")),
        ("python:3.11-slim", ("docker.io", "library/python", "3.11-slim")),
        ("team/train:1", ("docker.io", "team/train", "1")),
        ("docker.io/team/train", ("docker.io", "team/train", "latest")),
        ("localhost/train", ("localhost", "train", "latest")),
        ("ours.example.com/a/b/train:1", ("ours.example.com", "a/b/train", "1")),
        ("127.0.0.1:5000/train", ("127.0.0.1:5000", "train", "latest")),
    ],
)
def test_a_name_is_read_as_docker_reads_it(image, parts):
    """Its first part is a registry where it looks like a host."""
    found = parsed(image)

    assert (found.registry, found.path, found.tag) == parts
    assert found.digest == ""


def test_an_image_that_is_named_by_its_digest_is_asked_of_nobody():
    """There is nothing to ask; a tag beside it says nothing."""
    digest = "sha256:" + "ab" * 32

    assert digest_of(f"nowhere.example.com:1/train:1@{digest}") == digest
    assert (
        pinned("nowhere.example.com:1/train:1", digest) == f"nowhere.example.com:1/train@{digest}"
    )


@pytest.fixture(scope="module")
def registry(engine, tmp_path_factory):
    """A registry with the tests' image as ``team/train:1``; ``push`` moves that tag."""
    folder = tmp_path_factory.mktemp("registry")
    try:
        server = image_registry(folder)
    except NotInstalledError as error:
        pytest.skip(str(error))
    with server:
        server.images = folder / "images"
        server.image = f"127.0.0.1:{server.port}/team/train:1"

        def push(mark):
            container = engine.docker("create", IMAGE, "true")
            engine.docker("commit", "-c", f"ENV MARK={mark}", container, server.image)
            engine.docker("rm", container)
            engine.docker("push", "-q", server.image)
            return digest_of(server.image)

        server.push = push
        yield server


@pytest.fixture
def dag(pods, registry, write, one_dag, monkeypatch):
    """The DAG of one step in a pod of that image; what fails is not tried again."""

    def make(image=registry.image, **more):
        document = {**pods, "fixed_tags": False, "image": image, **more}
        monkeypatch.setenv("AIRFLOW__AML__COMPUTES", json.dumps({"pods": document}))
        write("src/show.py", "import os; print('in', os.environ.get('MARK'))")
        write("p.py", FILE)
        found = one_dag()
        for task in found.tasks:
            task.retries = 0
        return found

    return make


def test_a_tag_that_was_moved_runs_the_step_again(registry, engine, dag, run_dag, tmp_path, capfd):
    """The pod runs the image that the plan knows by its digest, whatever a node has."""
    before = registry.push("first")
    first = run_dag(dag())
    assert "in first" in "".join(capfd.readouterr())
    assert run_dag(dag()).states["show"] == "skipped"
    after = registry.push("second")
    engine.docker("tag", IMAGE, registry.image)  # a node that has something else under that name

    assert main(["plan", str(tmp_path / "dags" / "p.py")]) == 3
    assert f"the image changed from {before} to {after}" in capfd.readouterr().out
    again = run_dag(dag())

    assert first.state == again.state == "success"
    assert "in second" in "".join(capfd.readouterr())
    assert again.xcom("show")["reason"] == f"the image changed from {before} to {after}"
    by_digest = dag(pinned(registry.image, after))
    assert run_dag(by_digest).states["show"] == "skipped"


def test_what_no_registry_tells_is_not_reused(registry, engine, dag, run_dag, capfd):
    """The step runs and says why, and nothing is kept; a tag that nobody moves is a name."""
    engine.docker("tag", IMAGE, "127.0.0.1:1/train:1")
    engine.docker("tag", IMAGE, f"127.0.0.1:{registry.port}/team/local:1")
    silent, absent = "127.0.0.1:1/train:1", f"127.0.0.1:{registry.port}/team/local:1"

    looks = (
        (silent, "does not answer"),
        (silent, "does not answer"),
        (absent, "has no such image"),
    )
    for image, why in looks:
        reason = run_dag(dag(image)).xcom("show")["reason"]
        assert f"what the image {image} holds could not be told" in reason
        assert why in reason
        assert "fixed_tags" in reason

    assert run_dag(dag(silent, fixed_tags=True)).states["show"] == "success"
    assert run_dag(dag(silent, fixed_tags=True)).states["show"] == "skipped"


def test_a_registry_with_a_login_is_asked_with_dockers_own(registry, tmp_path, monkeypatch):
    """As ``docker login`` has kept it; without one the text says that it is missing."""
    there = registry.push("kept")
    passwords = tmp_path / "passwords"
    passwords.write_text(PASSWORDS)
    with image_registry(tmp_path / "again", passwords, images=registry.images) as guarded:
        image = f"127.0.0.1:{guarded.port}/team/train:1"
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        with pytest.raises(ComputeTargetException, match="asks for a login"):
            digest_of(image)
        login = b64encode(b"reader:sesame").decode()
        config = {"auths": {f"127.0.0.1:{guarded.port}": {"auth": login}}}
        (tmp_path / "config.json").write_text(json.dumps(config))

        assert digest_of(image) == there

        login = b64encode(b"reader:wrong").decode()
        config["auths"][f"127.0.0.1:{guarded.port}"]["auth"] = login
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(ComputeTargetException, match="asks for a login"):
            digest_of(image)


@contextmanager
def answering(answers):
    """A server that answers as it is told: path -> (code, headers, text), by Authorization."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_):
            """Says nothing."""

        def do_GET(self):
            code, headers, text = answers(self.path, self.headers.get("Authorization", ""))
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(text)

        def do_HEAD(self):
            self.do_GET()

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_a_token_is_fetched_where_a_registry_asks_for_one(monkeypatch, tmp_path):
    """As Docker's hub does of everybody: it names who gives them, and for what."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))

    def answers(path, authorization):
        if path.startswith("/token?"):
            right = "service=ours&scope=repository%3Ateam%2Ftrain%3Apull" in path
            return (200, {}, b'{"token": "abc"}') if right else (400, {}, b"")
        if authorization != "Bearer abc":
            realm = f'Bearer realm="http://127.0.0.1:{port}/token",service="ours"'
            scope = 'scope="repository:team/train:pull"'
            return 401, {"WWW-Authenticate": f"{realm},{scope}"}, b""
        return 200, {}, MANIFEST

    with answering(answers) as port:
        found = digest_of(f"127.0.0.1:{port}/team/train:1")

    assert found == f"sha256:{sha256(MANIFEST).hexdigest()}"  # which it has not said itself
