"""Where everything lies inside a workspace. A person can read it with ``ls``.

::

    workspace.json                             {"uuid", "layout_version"}
    datastores/<name>/...                      files of the built-in datastores
    snapshots/<digest[:2]>/<digest>.zip        source folders, once per content
    snapshots/<digest[:2]>/<digest>.zip.taken.json   when a run took it last, in an object store
    staging/<attempt>/<output>/...             outputs while a script writes them
    staging/<attempt>/job.json, answer.json    what a pod is sent to do, and how that has ended
    runtime/<name>.zip                         what such a pod runs, once for each release
    runtime/packages-<lock>.zip                packages of a step's own for pods, once for each lock
    data/<step-run-id>/<output>/...            committed outputs, read-only
    data/<step-run-id>/<output>.manifest.json  what a committed output holds; where its files lie
                                               in an object store it is also what commits them
    data/<step-run-id>/<output>.claim.json     the attempt that uploads an output just now
    data/<step-run-id>/<output>.leaving.json   what the manifest was, while its files are removed
    registry/<kind>/<name>/<version>.json      datasets, models, ...: one document per version
    registry/published/<id>.json               a published pipeline
    registry/<kind>/<name>.json                datastores, computes, ...: one document each
    watches/<watch>/...                        what changes in a watched folder, and which runs
                                               have taken it (watches.py)
    runs/<pipeline-run-id>/run.json            which DAG and Airflow run, since when
    runs/<pipeline-run-id>/submitted.json      the same of a run that a program has submitted
    runs/<pipeline-run-id>/alive.json          signs of life of the process that runs it
    runs/<pipeline-run-id>/canceled            there if somebody has ended the run
    runs/<pipeline-run-id>/summary.json        its line in a listing, once it has ended
    runs/<pipeline-run-id>/plan.json           what the run's first task decided
    runs/<pipeline-run-id>/pipeline.json       what the run was made from
    runs/<pipeline-run-id>/failed/<task-id>    why that step failed; a hint for steps to come
    runs/<pipeline-run-id>/notes/...           what programs noted about the run: tags
    runs/<pipeline-run-id>/steps/<step-run-id>/report.json   how a step ended
    runs/<pipeline-run-id>/steps/<step-run-id>/journal.jsonl what its script noted: metrics, tags
    runs/<pipeline-run-id>/steps/<step-run-id>/files/...     its logs, what it left in ./outputs
    runs/<pipeline-run-id>/steps/<step-run-id>/of/<run-id>/  the same of its parent or children

Every path here is relative to the workspace's root and POSIX. Digests are written
``<algorithm>:<hex>`` in documents and ``<algorithm>-<hex>`` in file names.
"""

from __future__ import annotations

LAYOUT_VERSION = 1
WORKSPACE_DOCUMENT = "workspace.json"
REGISTRY = "registry"


def file_name(digest: str) -> str:
    """A digest as a file name: ``sha256:ab`` becomes ``sha256-ab``."""
    return digest.replace(":", "-")


def snapshot(digest: str) -> str:
    """Where the source folder with that content digest is stored."""
    return f"snapshots/{digest.partition(':')[2][:2]}/{file_name(digest)}.zip"


def datastore(name: str) -> str:
    """The root of a built-in datastore."""
    return f"datastores/{name}"


def staging(attempt: str) -> str:
    """Where one attempt's outputs are written before they are committed."""
    return f"staging/{attempt}"


def errand(attempt: str) -> str:
    """What the pod of one attempt is sent to do."""
    return f"staging/{attempt}/job.json"


def answer(attempt: str) -> str:
    """What the pod of one attempt says of its end."""
    return f"staging/{attempt}/answer.json"


def runtime(name: str) -> str:
    """What pods run: the part of this package that travels, by the name of its zip."""
    return f"runtime/{name}"


def packages(lock: str) -> str:
    """Packages that pods get beside their image, by a lock's digest in hexadecimal."""
    return f"runtime/packages-{lock[:32]}.zip"


def data(step_run_id: str, output: str) -> str:
    """Where an output is committed when the author names no place of their own."""
    return f"data/{step_run_id}/{output}"


def manifest(step_run_id: str, output: str) -> str:
    """The document that says what an output holds.

    ``output`` is the last part of the place that it was committed to under
    :func:`data`: its name, with ``~2`` where another content had that already.
    """
    return f"data/{step_run_id}/{output}.manifest.json"


def claim(step_run_id: str, output: str) -> str:
    """The document of the attempt that uploads an output to its place in an object store."""
    return f"data/{step_run_id}/{output}.claim.json"


def run(pipeline_run_id: str) -> str:
    """The folder of one pipeline run's documents."""
    return f"runs/{pipeline_run_id}"


def plan(pipeline_run_id: str) -> str:
    """The decisions of one pipeline run."""
    return f"runs/{pipeline_run_id}/plan.json"


def definition(pipeline_run_id: str) -> str:
    """What one pipeline run was made from."""
    return f"runs/{pipeline_run_id}/pipeline.json"


def summary(pipeline_run_id: str) -> str:
    """What a listing says of a run that has ended."""
    return f"runs/{pipeline_run_id}/summary.json"


def alive(pipeline_run_id: str) -> str:
    """The last sign of life of the process that runs a run without Airflow."""
    return f"runs/{pipeline_run_id}/alive.json"


def failed(pipeline_run_id: str) -> str:
    """The folder, with a slash at its end, of the markers of a run's failed steps, by task id."""
    return f"runs/{pipeline_run_id}/failed/"


def step(pipeline_run_id: str, step_run_id: str) -> str:
    """The folder of one step run's documents and kept files."""
    return f"runs/{pipeline_run_id}/steps/{step_run_id}"


def pipeline_run_id(workspace_uuid: str, dag_id: str, run_id: str) -> str:
    """``PipelineRun.id``: the same for the same Airflow run, everywhere and always."""
    return _derived(workspace_uuid, f"{dag_id}\n{run_id}")


def step_run_id(pipeline_run: str, task_id: str, map_index: int = -1) -> str:
    """``{run-id}`` in destinations and ``AZUREML_RUN_ID`` in the script's environment."""
    return _derived(pipeline_run, f"{task_id}\n{map_index}")


def _derived(identity: str, name: str) -> str:
    from hashlib import sha1  # only runs have ids

    # As uuid5 does, which takes three times as long: a list of ten thousand runs has many of them.
    above = bytes.fromhex(identity.replace("-", ""))
    digest = bytearray(sha1(above + name.encode()).digest()[:16])  # noqa: S324 - no secret
    digest[6] = digest[6] & 0x0F | 0x50
    digest[8] = digest[8] & 0x3F | 0x80
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
