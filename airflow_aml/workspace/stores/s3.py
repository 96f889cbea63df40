"""S3 and what speaks its language, through s3fs."""

from __future__ import annotations

import asyncio
import hashlib
import re
from functools import lru_cache
from typing import Any, AsyncContextManager, AsyncIterator, Dict, List, Mapping, Optional

from airflow_aml.workspace.stores.backend import Listed, Sent, md5_of, md5_of_parts
from airflow_aml.workspace.stores.patience import CONNECT_SECONDS, READ_SECONDS, in_time
from airflow_aml.workspace.stores.trouble import Kind, Trouble

_PART = 16 * 1024 * 1024
_BUFFER_SIZE = 1 << 18
_MOST_PARTS = 10_000
_AT_ONCE = 1000
_WRITER = "aml-writer"
_WHOLE = re.compile(r"[0-9a-f]{32}")
_DENIED = frozenset(
    [
        "AccessDenied",
        "AllAccessDisabled",
        "ExpiredToken",
        "Forbidden",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "SignatureDoesNotMatch",
    ]
)


class S3Backend:
    """A bucket."""

    noun = "bucket"
    naming = "A bucket's name is 3 to 63 lower-case letters, digits, dots and dashes."
    workers = 32

    def __init__(self, container: str, options: Mapping[str, Any]) -> None:
        from s3fs import S3FileSystem

        self.container = container
        given = dict(options)
        config: Dict[str, Any] = {
            "max_pool_connections": self.workers + 8,
            "retries": {"mode": "standard", "total_max_attempts": 2},
            "connect_timeout": CONNECT_SECONDS,
            "read_timeout": READ_SECONDS,
            **(given.pop("config_kwargs", None) or {}),
        }
        config.setdefault("http_session_cls", _session(config["read_timeout"]))
        self._fs: Any = S3FileSystem(use_listings_cache=False, config_kwargs=config, **given)
        # The store tries again, and so does the client for each request; s3fs need not too.
        self._fs.retries = 1
        self.loop = self._fs.loop

    def diagnose(self, error: BaseException) -> Trouble:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        from botocore import exceptions

        response = getattr(error, "response", None) or getattr(error.__cause__, "response", None)
        if isinstance(response, dict):
            code = str(response.get("Error", {}).get("Code", ""))
            status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
            said = response.get("Error", {}).get("Message") or error
            return Trouble(_kind(status, code), f"{status} {code}: {said}")
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, (exceptions.NoCredentialsError, exceptions.PartialCredentialsError)):
            return Trouble(Kind.DENIED, said)
        silent = (
            exceptions.ConnectTimeoutError,
            exceptions.ReadTimeoutError,
            asyncio.TimeoutError,
            TimeoutError,
        )
        if isinstance(error, silent):
            return Trouble(Kind.SILENT, said)
        broken = (
            exceptions.HTTPClientError,
            exceptions.ConnectionError,
            exceptions.ResponseStreamingError,
            exceptions.IncompleteReadError,
            ConnectionError,
        )
        transient = isinstance(error, broken) or type(error).__module__.startswith("aiohttp")
        return Trouble(Kind.TRANSIENT if transient else Kind.OTHER, said)

    async def read(self, key: str) -> bytes:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        response = await self._call("get_object", Key=key)
        async with response["Body"] as body:
            data: bytes = await body.read()
        return data

    async def write(self, key: str, data: bytes) -> None:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        await self._call("put_object", Key=key, Body=data)

    async def create(self, key: str, data: bytes, writer: str) -> None:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        metadata = {_WRITER: writer}
        await self._call("put_object", Key=key, Body=data, Metadata=metadata, IfNoneMatch="*")

    async def writer(self, key: str) -> Optional[str]:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        response = await self._call("head_object", Key=key)
        name: Optional[str] = response.get("Metadata", {}).get(_WRITER)
        return name

    async def exists(self, key: str) -> bool:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        # A listing, not a HEAD: that could not tell a missing bucket from a missing file.
        return any(each.key == key for each in await self.find(key, 1))

    async def find(self, prefix: str, limit: Optional[int] = None) -> List[Listed]:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        found: List[Listed] = []
        async for page in self._pages(Prefix=prefix, MaxKeys=min(limit or _AT_ONCE, _AT_ONCE)):
            found.extend(
                _listed(each) for each in page.get("Contents", []) if not each["Key"].endswith("/")
            )
            if limit is not None and len(found) >= limit:
                break
        return found

    async def children(self, prefix: str) -> List[str]:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        keys: List[str] = []
        async for page in self._pages(Prefix=prefix, Delimiter="/"):
            keys.extend(each["Prefix"] for each in page.get("CommonPrefixes", []))
            keys.extend(each["Key"] for each in page.get("Contents", []))
        return [key[len(prefix) :] for key in keys if key != prefix]

    async def put(self, local: str, key: str, size: int, sent: Sent) -> None:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        part = _part_size(size)
        if size >= 2 * part:
            await self._fs._put_file(  # noqa: SLF001 - fsspec's coroutines are named so
                local,
                f"{self.container}/{key}",
                callback=_callback(sent),
                chunksize=part,
                max_concurrency=4,
            )
            return
        with open(local, "rb") as stream:
            data = stream.read()
        await self._call("put_object", Key=key, Body=data)

    async def get(self, key: str, local: str, sent: Sent, large: AsyncContextManager[None]) -> None:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        response = await self._call("get_object", Key=key)
        async with response["Body"] as body:
            if response["ContentLength"] < 2 * _PART:
                with open(local, "wb") as file:
                    while True:
                        data = await body.read(_BUFFER_SIZE)
                        if not data:
                            return
                        file.write(data)
                        sent(file.tell())
        async with large:
            await self._get_in_parts(key, local, sent)

    async def _get_in_parts(self, key: str, local: str, sent: Sent) -> None:
        await self._fs._get_file(  # noqa: SLF001 - fsspec's coroutines are named so
            f"{self.container}/{key}",
            local,
            callback=_callback(sent),
            chunksize=_PART,
            max_concurrency=4,
        )

    async def delete(self, keys: List[str]) -> None:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        for start in range(0, len(keys), _AT_ONCE):
            objects = [{"Key": key} for key in keys[start : start + _AT_ONCE]]
            response = await self._call(
                "delete_objects", Delete={"Objects": objects, "Quiet": True}
            )
            for failed in response.get("Errors", []):
                raise OSError(f"{failed.get('Key')}: {failed.get('Code')} {failed.get('Message')}")

    def same(self, local: str, listed: Listed) -> bool:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        if listed.md5 is not None:
            return md5_of(local).hex() == listed.md5
        # What went in parts is named after the MD5s of its parts.
        parts = md5_of_parts(local, _part_size(listed.size))
        whole = hashlib.md5(b"".join(parts)).hexdigest()  # noqa: S324
        return listed.etag == f"{whole}-{len(parts)}"

    async def _call(self, method: str, **arguments: Any) -> Any:
        return await self._fs._call_s3(  # noqa: SLF001 - fsspec's coroutines are named so
            method, Bucket=self.container, **arguments
        )

    async def _pages(self, **arguments: Any) -> AsyncIterator[Dict[str, Any]]:
        while True:
            page = await self._call("list_objects_v2", **arguments)
            yield page
            if not page.get("IsTruncated"):
                return
            arguments["ContinuationToken"] = page["NextContinuationToken"]


@lru_cache(maxsize=None)
def _session(read_seconds: float) -> Any:
    """What sends requests, and gives up one that cannot be sent."""
    from aiobotocore.httpsession import AIOHTTPSession
    from botocore.exceptions import ReadTimeoutError

    class Session(AIOHTTPSession):  # type: ignore[misc]
        async def send(self, request: Any) -> Any:
            size = int(request.headers.get("Content-Length") or 0)
            try:
                return await in_time(super().send(request), read_seconds, size)
            except asyncio.TimeoutError as error:
                raise ReadTimeoutError(endpoint_url=request.url, error=error) from None

    return Session


def _kind(status: int, code: str) -> Kind:
    if code == "NoSuchBucket":
        return Kind.NO_CONTAINER
    if code in _DENIED or status in (401, 403):
        return Kind.DENIED
    if status == 404:
        return Kind.MISSING
    if code == "PreconditionFailed" or status == 412:
        return Kind.EXISTS
    # 409: two conditional writes at once; S3 asks for the loser to be sent again.
    if code in ("SlowDown", "RequestTimeout") or status in (408, 409, 429) or status >= 500:
        return Kind.TRANSIENT
    return Kind.OTHER


def _listed(found: Mapping[str, Any]) -> Listed:
    etag = str(found.get("ETag", "")).strip('"')
    return Listed(found["Key"], found["Size"], etag, etag if _WHOLE.fullmatch(etag) else None)


def _part_size(size: int) -> int:
    return max(_PART, -(-size // _MOST_PARTS))


def _callback(sent: Sent) -> Any:
    from fsspec.callbacks import Callback

    return Callback(hooks={"sent": lambda size, value, **_: sent(value)})
