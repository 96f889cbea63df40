"""Beside every output of a local workspace lies its manifest, too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from laboratory import Lab

from airflow_aml.runtime.job import JobOutput, OutputRef, StepJob
from airflow_aml.workspace import layout
from airflow_aml.workspace.committed import find_document, parsed

OUT = (OutputRef("out"),)
WRITE = "import sys; open(sys.argv[1] + '/x', 'w').write(open('content').read())"


def job(lab: Lab, content: str, run_id: str, **members) -> StepJob:
    document = str(lab.home.path(layout.manifest(run_id, "out")))
    output = replace(JobOutput("out", "", "", manifest=document), **members)
    files = {"content": content}
    return lab.job(WRITE, files=files, outputs=(output,), arguments=OUT, run_id=run_id)


def test_a_manifest_lies_beside_each_place(lab: Lab) -> None:
    """With the file's time in nanoseconds as its version; other content has one of its own."""
    run_id = "6f1d3c52-1111-5222-8333-444455556666"
    places = {}
    for content in ("1", "22", "1"):
        report = lab.run(job(lab, content, run_id))
        uri = report.outputs["out"].uri
        path = find_document(lab.home, uri)
        assert path is not None
        found = parsed(lab.home.store.read(path), path)
        place = lab.home.path(path[: -len(".manifest.json")])
        assert (found.uri, found.digest) == (uri, report.outputs["out"].manifest.digest)
        ((name, size, _, version),) = found.files
        assert (name, size) == ("x", len(content))
        assert version == str((place / "x").stat().st_mtime_ns)
        places[path] = content
    assert places == {
        f"data/{run_id}/out.manifest.json": "1",
        f"data/{run_id}/out~2.manifest.json": "22",
    }


def test_a_manifest_at_an_authors_place_is_found_by_its_run(lab: Lab, tmp_path: Path) -> None:
    """The document is in the workspace, wherever the output is."""
    run_id = "6f1d3c52-1111-5222-8333-444455556666"
    report = lab.run(job(lab, "1", run_id, destination=str(tmp_path / "store" / run_id)))

    assert os.listdir(tmp_path / "store") == [run_id]
    path = find_document(lab.home, report.outputs["out"].uri)
    assert path == f"data/{run_id}/out.manifest.json"
    assert find_document(lab.home, f"file:///elsewhere/{run_id}") is None


def test_a_local_step_loads_nothing_for_remote_stores(lab: Lab) -> None:
    """What only a URI needs is imported when there is one: short steps would feel it."""
    path = job(lab, "1", "run-1").write()
    program = (
        "import json, sys\n"
        "from airflow_aml.runtime.entry import main\n"
        f"code = main([{str(path)!r}])\n"
        "print(json.dumps([code, sorted(sys.modules)]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    code, modules = json.loads(done.stdout.splitlines()[-1])
    assert code == 0, done.stderr
    remote = ("places", "fetch", "send", "remoteviews")
    assert not {f"airflow_aml.runtime.{name}" for name in remote} & set(modules)
    assert not [name for name in modules if name.startswith("airflow_aml.workspace.stores")]
    assert not {"asyncio", "fsspec"} & set(modules)
