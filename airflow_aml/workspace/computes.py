"""Compute documents: where steps run, under the names that pipelines use for it.

::

    [aml] computes                     what the site says: a JSON object, name -> document
    registry/compute/<name>.json       what programs have created or attached

The site's word counts before a program's. A document holds nothing secret: what logs in anywhere is
an Airflow connection.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple, Union

from airflow_aml.errors import UserErrorException, WorkspaceException

if TYPE_CHECKING:
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.registry import Registry

DEFAULT = "default"
"""The name of the site's document for every compute that has none of its own."""

LOCAL, DOCKER, KUBERNETES = "local", "docker", "kubernetes"

SETTING = "[aml] computes"

_KIND = "compute"
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
_MEMORY = re.compile(r"^[1-9]\d*[bkmgBKMG]?$")
_USER = re.compile(r"^\d+(:\d+)?$")
_TRANSPORTS = (None, "mounts", "archive")
_ONLY = {
    DOCKER: ("engine", "network", "transport", "host_path_map"),
    KUBERNETES: (
        "namespace",
        "pod_template",
        "node_selector",
        "volumes",
        "startup_seconds",
        "fixed_tags",
    ),
}
"""What is said of one kind of container alone."""


@dataclass(frozen=True)
class ComputeRecord:
    """One compute.

    Attributes:
        kind: ``local`` (the worker itself), ``docker``, ``kubernetes``; of an attached service its
            type in lower case.
        type: v1's word: ``AmlCompute``, ``Databricks``, ...
        environment: name, or ``name:version``, of the registered or curated environment of steps
            that ask for none.
        image: of a container; interpreter: the Python in it, by default the first one in its PATH.
        queue, executor, pool: of Airflow, for the tasks of its steps; pool_slots: how many of the
            pool's slots one of them takes, 1 by default.
        min_nodes, max_nodes: v1's; a pool that is not there is made with max_nodes slots.
        cpu: cores; memory: bytes, or with k, m, g; gpu: how many. By default what ``vm_size`` says.
        shm_size: of /dev/shm; network: ``none``, ``bridge``, ``host`` or a network's name;
            user: ``uid`` or ``uid:gid``, by default the worker's.
        engine: address of the Docker engine; connection: that logs in to the image's registry, or
            to the Kubernetes cluster.
        transport: ``mounts`` where the engine sees the worker's folders, else ``archive``.
        host_path_map: a folder of the worker -> the same folder as the engine's host names it.
        namespace: of the pods; pod_template: absolute path of a YAML file that they start from;
            node_selector: labels of the nodes that may run them.
        volumes: a folder that pods share with the workers -> the persistent volume claim behind
            it, or an absolute folder of the node.
        startup_seconds: how long a pod may wait for a node, and then for its image.
        secrets: names of those that scripts may ask for (``run.get_secret``) in its pods, or in
            containers that files are sent to.
        fixed_tags: nobody moves a tag of its images, so their names tell what they hold.
        settings: what else was said when it was attached.
    """

    name: str
    kind: str = LOCAL
    type: str = "AmlCompute"
    environment: Optional[str] = None
    image: Optional[str] = None
    interpreter: Optional[str] = None
    queue: Optional[str] = None
    executor: Optional[str] = None
    pool: Optional[str] = None
    pool_slots: Optional[int] = None
    min_nodes: int = 0
    max_nodes: Optional[int] = None
    cpu: Union[int, float, None] = None
    memory: Optional[str] = None
    gpu: Optional[int] = None
    shm_size: Optional[str] = None
    network: Optional[str] = None
    user: Optional[str] = None
    engine: Optional[str] = None
    connection: Optional[str] = None
    transport: Optional[str] = None
    host_path_map: Dict[str, str] = field(default_factory=dict)
    namespace: Optional[str] = None
    pod_template: Optional[str] = None
    node_selector: Dict[str, str] = field(default_factory=dict)
    volumes: Dict[str, str] = field(default_factory=dict)
    startup_seconds: int = 600
    secrets: Tuple[str, ...] = ()
    fixed_tags: bool = False
    vm_size: Optional[str] = None
    vm_priority: str = "dedicated"
    idle_seconds: int = 1800
    description: str = ""
    tags: Dict[str, str] = field(default_factory=dict)
    settings: Dict[str, str] = field(default_factory=dict)

    @property
    def sized(self) -> ComputeRecord:
        """The same with the cores, memory and GPUs of its machine where it does not say its own."""
        from airflow_aml.workspace.vmsizes import vm_size

        size = vm_size(self.vm_size) if self.vm_size else None
        if size is None:
            return self
        return replace(
            self,
            cpu=size.cpu if self.cpu is None else self.cpu,
            memory=f"{int(size.memory * 1024)}m" if self.memory is None else self.memory,
            gpu=size.gpu if self.gpu is None else self.gpu,
        )


Computes = Mapping[str, ComputeRecord]


@lru_cache(maxsize=8)
def site_computes(text: str) -> Computes:
    """The computes that the site's setting defines.

    Raises:
        WorkspaceException: it is not a JSON object of documents; the text says which and why.
    """
    try:
        documents = json.loads(text or "{}")
    except ValueError as error:
        raise WorkspaceException(f"{SETTING} is not JSON: {error}.") from error
    if not isinstance(documents, dict):
        raise WorkspaceException(
            f'{SETTING} must be a JSON object such as {{"gpu": {{"kind": "docker", '
            '"image": "team/train:1"}}.'
        )
    return {name: record_of(name, document) for name, document in documents.items()}


def record_of(name: str, document: Any) -> ComputeRecord:
    """The compute that a document describes.

    Raises:
        WorkspaceException: it does not; the text says what is wrong, and where.
    """
    from airflow_aml.codec import decode

    where = f"{SETTING}, {name!r}"
    try:
        check_name(name)
        if not isinstance(document, Mapping):
            raise UserErrorException(f"{document!r} is not an object.")
        record = decode(ComputeRecord, {**document, "name": name})
    except UserErrorException as error:
        known = ", ".join(each for each in ComputeRecord.__annotations__ if each != "name")
        hint = f"A document may have: {known}." if "unknown" in error.message else None
        raise WorkspaceException(error.message, where=where, hint=hint) from error
    wrong = _wrong(record) or _of_another_kind(record, document)
    if wrong:
        raise WorkspaceException(wrong, where=where)
    return record


def _wrong(record: ComputeRecord) -> str:
    """What is wrong with the values of a site's document; empty if nothing is."""
    folders = [each for pair in record.host_path_map.items() for each in pair]
    relative = [each for each in folders if each[:1] != "/"]
    shared = [each for each in record.volumes if each[:1] != "/" or each == "/"]
    template = record.pod_template
    kind, cpu, gpu, memory = record.kind, record.cpu, record.gpu, record.memory
    least, most = max(record.min_nodes, 1), record.max_nodes or sys.maxsize
    checks = {
        f"kind must be {LOCAL!r}, {DOCKER!r} or {KUBERNETES!r}, not {kind!r}.": (
            kind in (LOCAL, DOCKER, KUBERNETES)
        ),
        f"memory must be a text such as '512m' or '8g', not {memory!r}.": (
            memory is None or _MEMORY.match(memory)
        ),
        f"shm_size must be a text such as '512m' or '8g', not {record.shm_size!r}.": (
            record.shm_size is None or _MEMORY.match(record.shm_size)
        ),
        f"user must be a text such as '1000' or '1000:1000', not {record.user!r}.": (
            record.user is None or _USER.match(record.user)
        ),
        f"environment must be a name or 'name:version', not {record.environment!r}.": (
            record.environment is None or all(record.environment.split(":", 1))
        ),
        f"the size of vm_size {record.vm_size!r} is not known here: say cpu, memory and gpu.": (
            kind == LOCAL or not record.vm_size or record.sized.cpu or memory or gpu
        ),
        f"cpu must be more than 0, not {cpu!r}.": cpu is None or cpu > 0,
        f"gpu must be 0 or more, not {gpu!r}.": gpu is None or gpu >= 0,
        f"transport must be 'mounts' or 'archive', not {record.transport!r}.": (
            record.transport in _TRANSPORTS
        ),
        f"host_path_map maps absolute folders; {relative} is none.": not relative,
        f"volumes are absolute folders; {shared} is none.": not shared,
        f"pod_template must be the absolute path of a YAML file, not {template!r}.": (
            template is None or template[:1] == "/"
        ),
        f"'secrets' is for computes of kind {DOCKER!r} or {KUBERNETES!r}; this one is {kind!r}.": (
            not record.secrets or kind != LOCAL
        ),
        f"startup_seconds must be more than 0, not {record.startup_seconds}.": (
            record.startup_seconds > 0
        ),
        f"max_nodes must be at least {least}, not {record.max_nodes}.": (
            record.max_nodes is None or record.max_nodes >= least
        ),
        f"pool_slots must be from 1 to max_nodes, not {record.pool_slots}.": (
            record.pool_slots is None or 1 <= record.pool_slots <= most
        ),
    }
    return next((sentence for sentence, holds in checks.items() if not holds), "")


def _of_another_kind(record: ComputeRecord, document: Mapping[str, Any]) -> str:
    """What of a document is said of another kind of container than its own; empty if nothing is."""
    if "image" in document and "kind" not in document:
        return f"an 'image' needs a kind: {DOCKER!r} or {KUBERNETES!r}."
    for kind, fields in _ONLY.items():
        found = [name for name in fields if name in document]
        if found and record.kind != kind and not (kind == DOCKER and record.kind == LOCAL):
            return f"{found[0]!r} is for computes of kind {kind!r}; this one is {record.kind!r}."
    return ""


def check_name(name: object) -> str:
    """``name`` if a compute can be called so.

    Raises:
        UserErrorException: it is not made of letters, digits, ``-`` and ``_``.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise UserErrorException(
            f"{name!r} cannot be a compute's name: up to 64 letters, digits, '-' and '_'."
        )
    return name


def find(name: Optional[str], site: Computes, made: Computes) -> Optional[ComputeRecord]:
    """The compute of that name; None if nobody has defined it.

    One that only a program has made is of the site's default kind, in that program's size.
    """
    wanted = name or LOCAL
    if wanted in site:
        return site[wanted]
    fallback = site.get(DEFAULT)
    if wanted == LOCAL:  # v1's word for nothing in particular
        return fallback or ComputeRecord(LOCAL)
    own = made.get(wanted)
    if own is None or fallback is None or own.kind != LOCAL:
        return own
    return replace(
        fallback,
        name=wanted,
        type=own.type,
        vm_size=own.vm_size,
        vm_priority=own.vm_priority,
        min_nodes=own.min_nodes,
        max_nodes=own.max_nodes,
        idle_seconds=own.idle_seconds,
        description=own.description,
        tags=own.tags,
    )


def made_computes(home: Home) -> Computes:
    """What programs have created or attached in a workspace."""
    return {name: load_compute(home, name) for name in _registry(home).names(_KIND)}


def load_compute(home: Home, name: str) -> ComputeRecord:
    """What a program has created or attached under that name.

    Raises:
        UserErrorException: there is no such compute; the text lists names like it.
    """
    from airflow_aml.codec import decode

    return decode(ComputeRecord, {**_registry(home).load(_KIND, name), "name": name})


def save_compute(home: Home, record: ComputeRecord) -> None:
    """Keeps a compute; one of the same name is replaced."""
    from airflow_aml.codec import encode

    document = {name: value for name, value in encode(record).items() if name != "name"}
    _registry(home).put(_KIND, record.name, document, overwrite=True)


def remove_compute(home: Home, name: str) -> bool:
    """Forgets a compute; False if there was none."""
    registry = _registry(home)
    if name not in registry.names(_KIND):
        return False
    registry.remove(_KIND, name)
    return True


def compute_names(home: Home) -> List[str]:
    """The names of what programs have made."""
    return _registry(home).names(_KIND)


def _registry(home: Home) -> Registry:
    from airflow_aml.workspace.registry import Registry

    return Registry(home.store)
