"""What an image's name stands for: a tag is moved by whoever pushes, a digest by nobody.

A registry is asked as engines ask it before they pull: for the digest of a manifest, over the API
of OCI's distribution specification. Who asks logs in with what Docker's own configuration of this
user has for that registry (``docker login``).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit
from urllib.request import Request, urlopen

from airflow_aml.errors import ComputeTargetException

HUB = "docker.io"

_HUB_SERVER = "registry-1.docker.io"
_HUB_LOGIN = "https://index.docker.io/v1/"
_TAG = "latest"
_DIGEST = "Docker-Content-Digest"
_MANIFESTS = (
    "application/vnd.oci.image.index.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.v2+json"
)
_PATIENCE = 5.0
_LARGEST = 4 << 20
_UNAUTHORIZED, _FORBIDDEN, _ABSENT = 401, 403, 404


@dataclass(frozen=True)
class ImageName:
    """The parts of an image's name.

    Attributes:
        registry: host, with its port where it has one.
        path: of the repository there.
        written: registry and path as the name had them.
        digest: ``sha256:...`` where it is named by that; else empty.
    """

    registry: str
    path: str
    written: str
    tag: str = _TAG
    digest: str = ""


def parsed(image: str) -> ImageName:
    """The parts of a name, as Docker reads it: ``train:1`` is ``docker.io/library/train:1``."""
    named, _, digest = image.partition("@")
    folder, slash, last = named.rpartition("/")
    last, _, tag = last.partition(":")
    written = f"{folder}{slash}{last}"
    first, slash, path = written.partition("/")
    if not slash:
        registry, path = HUB, f"library/{written}"
    elif first != "localhost" and not {".", ":"} & set(first):
        registry, path = HUB, written
    else:
        registry = HUB if first in ("index.docker.io", _HUB_SERVER) else first
    return ImageName(registry, path, written, tag or _TAG, digest)


def is_digest(text: str) -> bool:
    """Whether a text is a digest, and no name."""
    return text.startswith("sha256:")


def pinned(image: str, digest: str) -> str:
    """The image's name by that digest (``sha256:...``), whatever its tag stands for later."""
    return f"{parsed(image).written}@{digest}"


def digest_of(image: str) -> str:
    """``sha256:<hex>`` of the manifest that the image's name stands for now.

    Raises:
        ComputeTargetException: its registry does not tell; the text says why, as the end of a
            sentence.
    """
    name = parsed(image)
    if name.digest:
        return name.digest
    try:
        try:
            return _asked(name)
        except HTTPError as error:
            if error.code != _UNAUTHORIZED:
                raise
            challenge = error.headers.get("WWW-Authenticate", "")
        return _asked(name, _authorization(name, challenge))
    except HTTPError as error:
        raise ComputeTargetException(_explained(name, error)) from error
    except (OSError, HTTPException, ValueError) as error:
        raise ComputeTargetException(
            f"its registry {name.registry} does not answer ({getattr(error, 'reason', error)})"
        ) from error


def _explained(name: ImageName, error: HTTPError) -> str:
    if error.code == _ABSENT:
        return f"its registry {name.registry} has no such image"
    if error.code in (_UNAUTHORIZED, _FORBIDDEN):
        return f"its registry {name.registry} asks for a login ({error.code} {error.reason})"
    return f"its registry {name.registry} does not tell ({error.code} {error.reason})"


def _asked(name: ImageName, authorization: str = "") -> str:
    """The registry's answer; one that says no digest sends the manifest, whose digest it is."""
    server = _HUB_SERVER if name.registry == HUB else name.registry
    url = f"{_scheme(name)}://{server}/v2/{name.path}/manifests/{name.tag}"
    headers, _ = _read(url, authorization, method="HEAD")
    if not headers.get(_DIGEST):
        headers, text = _read(url, authorization)
        return headers.get(_DIGEST) or f"sha256:{hashlib.sha256(text).hexdigest()}"
    return str(headers[_DIGEST])


def _read(url: str, authorization: str, method: str = "GET") -> tuple[Any, bytes]:
    request = Request(url, headers={"Accept": _MANIFESTS}, method=method)  # noqa: S310
    if authorization:
        request.add_unredirected_header("Authorization", authorization)  # for this host alone
    with urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310 - http or https
        return answer.headers, answer.read(_LARGEST)


def _scheme(name: ImageName) -> str:
    """Registries of this machine have no certificates, and engines ask none of them."""
    host = urlsplit(f"//{name.registry}").hostname or ""
    return "http" if host in ("localhost", "::1") or host.startswith("127.") else "https"


def _authorization(name: ImageName, challenge: str) -> str:
    """What a registry wants to see of us, by what it has said.

    Raises:
        ComputeTargetException: nothing that we have.
        OSError, ValueError: who gives tokens for it does not answer.
    """
    kind, _, rest = challenge.partition(" ")
    login = _login(name)
    if kind.lower() == "bearer":
        asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = asked.get("realm", "")
        if realm.startswith(("https://", f"{_scheme(name)}://")):
            query = {each: asked[each] for each in ("service", "scope") if each in asked}
            query.setdefault("scope", f"repository:{name.path}:pull")
            url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
            _, text = _read(url, f"Basic {login}" if login else "")
            answer = json.loads(text)
            return f"Bearer {answer.get('token') or answer.get('access_token')}"
    elif login:
        return f"Basic {login}"
    raise ComputeTargetException(f"its registry {name.registry} asks for a login")


def _login(name: ImageName) -> str:
    """``user:password`` in base64, from Docker's configuration; empty where it has none."""
    folder = os.environ.get("DOCKER_CONFIG") or os.path.expanduser("~/.docker")
    try:
        with open(os.path.join(folder, "config.json"), encoding="utf-8") as stream:
            known = json.load(stream).get("auths") or {}
        for key in (name.registry, f"https://{name.registry}", _HUB_LOGIN):
            if key in known and (key != _HUB_LOGIN or name.registry == HUB):
                return str(known[key].get("auth") or "")
    except (OSError, ValueError, AttributeError):  # nobody has logged in here
        pass
    return ""
