"""A stand-in for a Kubernetes API server: it runs each pod for real, as a container of Docker's.

It answers the calls that steps in pods make, in the shapes that a cluster of version 1.36 has
answered them: pods, their logs, secrets. What it does not have, and so no test here can show:
authentication and permissions, TLS, watches, quotas, admission, a real scheduler (what asks for
more cores than it has, or for a node's label, is unschedulable), pulling images, sidecars, probes,
evictions, deadlines of pods, networks (none, or the host's). Volumes are ``emptyDir`` (in memory),
``hostPath``, and claims that whoever starts it maps to folders. ``sinceSeconds`` is by this
machine's clock.
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import threading
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from scripts.docker_engine import DockerEngine

CORES = 16
NODE_LABELS = {"kubernetes.io/os": "linux"}
_LAG = 0.5
"""For so long a container has ended before its pod's phase says so, as on a real cluster."""

_ROUTE = re.compile(r"/api/v1/namespaces/([^/]+)/(pods|secrets|events)(?:/([^/]+)(?:/(log))?)?")
_TAIL = 2048


@dataclass
class Pod:
    """A pod: what was asked for, and what has become of it."""

    document: dict[str, Any]
    containers: dict[str, str] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    unschedulable: str = ""
    ended: float = 0.0

    @property
    def name(self) -> str:
        return str(self.document["metadata"]["name"])


class PodApi:
    """The server, on a free port of this machine.

    Args:
        engine: runs the pods.
        claims: persistent volume claim -> folder of this machine.

    Attributes:
        calls: every request: method and path.
        forbidden: namespaces in which nothing is allowed, as by a role that is not bound.
    """

    def __init__(self, engine: DockerEngine, claims: Mapping[str, str] | None = None) -> None:
        self.engine = engine
        self.claims = dict(claims or {})
        self.pods: dict[tuple[str, str], Pod] = {}
        self.secrets: dict[tuple[str, str], dict[str, Any]] = {}
        self.calls: list[str] = []
        self.forbidden: set[str] = set()
        self.lock = threading.RLock()
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> PodApi:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for pod in list(self.pods.values()):
            self._remove(pod)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def kubeconfig(self, path: Path) -> Path:
        """Writes a file that clients find it by."""
        named = {"name": "stand-in"}
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{**named, "cluster": {"server": self.url}}],
                    "users": [{**named, "user": {"token": "any"}}],
                    "contexts": [{**named, "context": {"cluster": "stand-in", "user": "stand-in"}}],
                    "current-context": "stand-in",
                }
            )
        )
        return path

    def left(self) -> list[str]:
        """The names of all that is there."""
        return [name for _, name in (*self.pods, *self.secrets)]

    def containers(self) -> list[str]:
        """The ids of its containers that the engine has."""
        return self._docker("ps", "-aq", "--filter", f"label={self._label}").stdout.split()

    @property
    def _label(self) -> str:
        """What its own containers have, in an engine that others use, too."""
        return f"airflow_aml.pods={self._server.server_port}"

    def create(self, namespace: str, document: dict[str, Any]) -> Pod:
        """Takes a pod; it starts a little later."""
        document["metadata"].update(
            namespace=namespace, uid=str(uuid.uuid4()), creationTimestamp=_now()
        )
        pod = Pod(document, unschedulable=_unschedulable(document["spec"]))
        with self.lock:
            self.pods[namespace, pod.name] = pod
        if not pod.unschedulable:
            threading.Thread(target=self._start, args=(namespace, pod), daemon=True).start()
        return pod

    def delete(self, namespace: str, name: str, grace: float | None = None) -> None:
        """Asks a pod to end; it is gone when its containers are."""
        pod = self.pods[namespace, name]
        with self.lock:
            if "deletionTimestamp" in pod.document["metadata"]:
                return
            pod.document["metadata"]["deletionTimestamp"] = _now()
        if grace is None:
            grace = pod.document["spec"].get("terminationGracePeriodSeconds", 30)
        arguments = (namespace, pod, int(grace))
        threading.Thread(target=self._end, args=arguments, daemon=True).start()

    def _end(self, namespace: str, pod: Pod, grace: int) -> None:
        for name in pod.containers.values():
            self._docker("stop", "-t", str(grace), name)
        self._remove(pod)
        uid = pod.document["metadata"]["uid"]
        with self.lock:
            self.pods.pop((namespace, pod.name), None)
            for key, secret in list(self.secrets.items()):
                owners = secret["metadata"].get("ownerReferences") or ()
                if any(owner["uid"] == uid for owner in owners):
                    del self.secrets[key]

    def _remove(self, pod: Pod) -> None:
        for name in pod.containers.values():
            self._docker("rm", "-f", "-v", name)

    def _start(self, namespace: str, pod: Pod) -> None:
        spec = pod.document["spec"]
        volumes = {each["name"]: each for each in spec.get("volumes") or ()}
        for container in spec["containers"]:
            name = f"k8s_{container['name']}_{pod.name}_{namespace}"
            words = ["run", "-d", "--name", name, "--pull", "never", "--log-driver", "local"]
            words += ["--network", "host" if spec.get("hostNetwork") else "none"]
            words += ["--label", self._label]
            for mount in container.get("volumeMounts") or ():
                words += self._mount(mount, volumes[mount["name"]])
            for variable in container.get("env") or ():
                words += ["-e", f"{variable['name']}={self._value(namespace, variable)}"]
            words += _limited(container, spec)
            command = [*(container.get("command") or ()), *(container.get("args") or ())]
            entry = ["--entrypoint", command[0]] if command else []
            pod.containers[container["name"]] = name
            done = self._docker(*words, *entry, container["image"], *command[1:])
            if done.returncode:
                pod.errors[container["name"]] = done.stderr.strip()

    def _mount(self, mount: Mapping[str, Any], volume: Mapping[str, Any]) -> list[str]:
        target = mount["mountPath"]
        if "emptyDir" in volume:
            return ["--tmpfs", f"{target}:rw,exec,mode=1777"]
        claim = volume.get("persistentVolumeClaim")
        source = self.claims[claim["claimName"]] if claim else volume["hostPath"]["path"]
        return ["-v", f"{source}:{target}" + (":ro" if mount.get("readOnly") else "")]

    def _value(self, namespace: str, variable: Mapping[str, Any]) -> str:
        asked = (variable.get("valueFrom") or {}).get("secretKeyRef")
        if asked is None:
            return str(variable.get("value") or "")
        secret = self.secrets[namespace, asked["name"]]
        return base64.b64decode(secret["data"][asked["key"]]).decode()

    def view(self, pod: Pod) -> dict[str, Any]:
        """A pod with its status."""
        return {**pod.document, "kind": "Pod", "apiVersion": "v1", "status": self._status(pod)}

    def _status(self, pod: Pod) -> dict[str, Any]:
        made = pod.document["metadata"]["creationTimestamp"]
        scheduled = {"type": "PodScheduled", "status": "True", "lastTransitionTime": made}
        if pod.unschedulable:
            scheduled.update(status="False", reason="Unschedulable", message=pod.unschedulable)
            return {"phase": "Pending", "conditions": [scheduled], "qosClass": "Burstable"}
        statuses = [self._container(pod, each) for each in pod.document["spec"]["containers"]]
        states = [each["state"] for each in statuses]
        phase = "Running"
        if any("waiting" in each for each in states):
            phase = "Pending"
        elif all("terminated" in each for each in states):
            pod.ended = pod.ended or time.monotonic()
            if time.monotonic() > pod.ended + _LAG:
                codes = [each["terminated"]["exitCode"] for each in states]
                phase = "Failed" if any(codes) else "Succeeded"
        return {
            "phase": phase,
            "hostIP": "127.0.0.1",
            "startTime": made,
            "qosClass": "Burstable",
            "conditions": [scheduled],
            "containerStatuses": statuses,
        }

    def _container(self, pod: Pod, container: Mapping[str, Any]) -> dict[str, Any]:
        state = self._state(pod, container)
        return {
            "name": container["name"],
            "image": container["image"],
            "imageID": "",
            "ready": "running" in state,
            "started": "running" in state,
            "restartCount": 0,
            "state": state,
            "lastState": {},
        }

    def _state(self, pod: Pod, container: Mapping[str, Any]) -> dict[str, Any]:
        error = pod.errors.get(container["name"], "")
        if "No such image" in error or "Unable to find image" in error:
            never = container.get("imagePullPolicy") == "Never"
            reason = "ErrImageNeverPull" if never else "ErrImagePull"
            return {"waiting": {"reason": reason, "message": error}}
        name = pod.containers.get(container["name"], "")
        known = self._docker("inspect", "-f", "{{json .State}}", name)
        if known.returncode:
            return {"waiting": {"reason": "ContainerCreating"}}
        found = json.loads(known.stdout)
        if error:
            ended = {"exitCode": 128, "reason": "StartError", "message": error}
            return {"terminated": {**ended, "startedAt": None, "finishedAt": _now()}}
        if found["Status"] == "created":
            return {"waiting": {"reason": "ContainerCreating"}}
        if found["Status"] == "running":
            return {"running": {"startedAt": _moment(found["StartedAt"])}}
        code = found["ExitCode"]
        reason = "OOMKilled" if found["OOMKilled"] and code else "Error" if code else "Completed"
        told = {"exitCode": code, "reason": reason}
        if code and container.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            lines = self._docker("logs", "--tail", "80", name)
            told["message"] = (lines.stdout + lines.stderr)[-_TAIL:]
        told["startedAt"] = _moment(found["StartedAt"])
        told["finishedAt"] = _moment(found["FinishedAt"])
        return {"terminated": told}

    def _docker(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["docker", "-H", self.engine.address, *words],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=False,
        )


class _Handler(BaseHTTPRequestHandler):
    api: PodApi
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Says nothing."""

    def handle(self) -> None:
        """Answers; who breaks off the connection is not worth a word."""
        with suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        self._route()

    def do_POST(self) -> None:
        self._route()

    def do_PATCH(self) -> None:
        self._route()

    def do_DELETE(self) -> None:
        self._route()

    def _route(self) -> None:
        url = urlsplit(self.path)
        asked = {name: values[-1] for name, values in parse_qs(url.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        self.api.calls.append(f"{self.command} {url.path}")
        match = _ROUTE.fullmatch(url.path)
        if not match:
            self._refuse(404, "NotFound", url.path)
            return
        namespace, kind, name, log = match.groups()
        if namespace in self.api.forbidden:
            self._refuse(403, "Forbidden", f'{kind} is forbidden in the namespace "{namespace}"')
        elif kind == "secrets":
            self._secret(namespace, name, body)
        elif kind == "events":
            self._answer(200, {"kind": "EventList", "apiVersion": "v1", "items": []})
        elif not name:
            self._pods(namespace, asked, body)
        elif (namespace, name) not in self.api.pods:
            self._refuse(404, "NotFound", f'pods "{name}" not found')
        elif log:
            self._log(self.api.pods[namespace, name], asked)
        else:
            self._pod(namespace, name, asked, body)

    def _pods(self, namespace: str, asked: Mapping[str, str], body: dict[str, Any]) -> None:
        if self.command == "GET":
            wanted = asked.get("labelSelector", "")
            found = [
                self.api.view(pod)
                for (where, _), pod in list(self.api.pods.items())
                if where == namespace and _matches(pod.document["metadata"], wanted)
            ]
            self._answer(200, {"kind": "PodList", "apiVersion": "v1", "items": found})
        elif (namespace, body["metadata"]["name"]) in self.api.pods:
            self._refuse(409, "AlreadyExists", f'pods "{body["metadata"]["name"]}" already exists')
        else:
            self._answer(201, self.api.view(self.api.create(namespace, body)))

    def _pod(
        self, namespace: str, name: str, asked: Mapping[str, str], body: dict[str, Any]
    ) -> None:
        pod = self.api.pods[namespace, name]
        if self.command == "PATCH":
            labels = (body.get("metadata") or {}).get("labels") or {}
            pod.document["metadata"].setdefault("labels", {}).update(labels)
        if self.command == "DELETE":
            grace = asked.get("gracePeriodSeconds", body.get("gracePeriodSeconds"))
            self.api.delete(namespace, name, None if grace is None else float(grace))
        self._answer(200, self.api.view(pod))

    def _secret(self, namespace: str, name: str, body: dict[str, Any]) -> None:
        secrets = self.api.secrets
        name = name or body["metadata"]["name"]
        if self.command == "POST":
            body["metadata"].update(namespace=namespace, uid=str(uuid.uuid4()))
            secrets[namespace, name] = body
            self._answer(201, body)
        elif (namespace, name) not in secrets:
            self._refuse(404, "NotFound", f'secrets "{name}" not found')
        elif self.command == "PATCH":
            secrets[namespace, name]["metadata"].update(body["metadata"])
            self._answer(200, secrets[namespace, name])
        elif self.command == "DELETE":
            self._answer(200, secrets.pop((namespace, name)))
        else:
            self._answer(200, secrets[namespace, name])

    def _log(self, pod: Pod, asked: Mapping[str, str]) -> None:
        name = pod.containers.get(asked.get("container", ""), "")
        statuses = self.api.view(pod)["status"].get("containerStatuses") or ()
        if not statuses or "waiting" in statuses[0]["state"]:
            self._refuse(400, "BadRequest", "the container is waiting to start")
            return
        words = ["docker", "-H", self.api.engine.address, "logs"]
        words += ["-t"] if asked.get("timestamps", "").lower() == "true" else []
        words += ["-f"] if asked.get("follow", "").lower() == "true" else []
        words += ["--since", f"{asked['sinceSeconds']}s"] if "sinceSeconds" in asked else []
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        following = subprocess.Popen(
            [*words, name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert following.stdout is not None
        try:
            while chunk := os.read(following.stdout.fileno(), 1 << 16):
                self.wfile.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
        except OSError:  # who asked has gone
            self.close_connection = True
        finally:
            following.kill()
            following.wait()

    def _refuse(self, code: int, reason: str, message: str) -> None:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
        self._answer(code, {**status, "reason": reason, "message": message, "code": code})

    def _answer(self, code: int, document: Mapping[str, Any]) -> None:
        data = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


def _unschedulable(spec: Mapping[str, Any]) -> str:
    """What its one node has against a pod, in a scheduler's words."""
    wanted = spec.get("nodeSelector") or {}
    if any(NODE_LABELS.get(name) != value for name, value in wanted.items()):
        return "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."
    asked = [(each.get("resources") or {}).get("requests") or {} for each in spec["containers"]]
    if sum(float(each.get("cpu", 0)) for each in asked) > CORES:
        return "0/1 nodes are available: 1 Insufficient cpu."
    return ""


def _limited(container: Mapping[str, Any], spec: Mapping[str, Any]) -> list[str]:
    words = []
    memory = ((container.get("resources") or {}).get("limits") or {}).get("memory")
    if memory:
        amount = memory.lower().removesuffix("i")
        words += ["-m", amount, "--memory-swap", amount]
    user = spec.get("securityContext") or {}
    if "runAsUser" in user:
        words += ["--user", f"{user['runAsUser']}:{user.get('runAsGroup', 0)}"]
    return words


def _matches(metadata: Mapping[str, Any], selector: str) -> bool:
    labels = metadata.get("labels") or {}
    for term in filter(None, selector.split(",")):
        name, separator, value = term.partition("=")
        if term.startswith("!"):
            if term[1:] in labels:
                return False
        elif name.endswith("!"):
            if labels.get(name[:-1]) == value:
                return False
        elif not separator or labels.get(name) != value:
            return False
    return True


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(text: str) -> str:
    return f"{text[:19]}Z"
