"""Azure Blob Storage and Data Lake Gen2, through adlfs' client."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, AsyncContextManager, Dict, List, Mapping, Optional

from airflow_aml.workspace.stores.backend import LARGE, Listed, Sent, md5_of
from airflow_aml.workspace.stores.patience import CONNECT_SECONDS, READ_SECONDS, in_time
from airflow_aml.workspace.stores.trouble import Kind, Trouble

_MOST_IN_ONE_REQUEST = 32 * 1024 * 1024
# OutOfRangeInput: the name is shorter or longer than a container's can be.
_NO_CONTAINER = frozenset(
    [
        "ContainerBeingDeleted",
        "ContainerDisabled",
        "ContainerNotFound",
        "InvalidResourceName",
        "OutOfRangeInput",
    ]
)
_WRITER = "aml_writer"
_FILE = {"is_directory": "false"}
# The client waits 15 seconds before it tries again; here the store's own retries are quicker.
_ONCE: Dict[str, Any] = {"retry_total": 0}


class AzureBackend:
    """A blob container.

    Talks to the client that adlfs has signed in: adlfs' own calls keep listings, answer that a
    container is there when they could not ask, and hide why a request failed.
    """

    noun = "container"
    naming = "A container's name is 3 to 63 lower-case letters, digits and dashes."
    workers = 32

    def __init__(self, container: str, options: Mapping[str, Any]) -> None:
        from adlfs import AzureBlobFileSystem

        logger = logging.getLogger("azure")
        if logger.level == logging.NOTSET:  # it writes every request into the task's log
            logger.setLevel(logging.WARNING)
        self.container = container
        self._fs: Any = AzureBlobFileSystem(use_listings_cache=False, **options)
        _limit(self._fs.service_client._pipeline._transport, options)  # noqa: SLF001
        self.loop = self._fs.loop
        self._client: Any = self._fs.service_client.get_container_client(container)
        # What comes with the first answer is in memory whole; 32 MB for each of many is too much.
        self._client._config.max_single_get_size = LARGE  # noqa: SLF001 - adlfs passes none on

    def diagnose(self, error: BaseException) -> Trouble:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        from azure.core import exceptions

        if isinstance(error, exceptions.HttpResponseError) and error.status_code is not None:
            code = getattr(error, "error_code", None)
            name = str(getattr(code, "value", code) or error.reason or "")
            return Trouble(_kind(error.status_code, name), f"{error.status_code} {name}")
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, exceptions.ClientAuthenticationError):  # before anything was sent
            return Trouble(Kind.DENIED, said)
        silent = (
            exceptions.ServiceRequestTimeoutError,
            exceptions.ServiceResponseTimeoutError,
            asyncio.TimeoutError,
        )
        if isinstance(error, silent):
            return Trouble(Kind.SILENT, said)
        broken = isinstance(error, (exceptions.AzureError, ConnectionError))
        transient = broken or type(error).__module__.startswith("aiohttp")
        return Trouble(Kind.TRANSIENT if transient else Kind.OTHER, said)

    async def read(self, key: str) -> bytes:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        stream = await self._client.download_blob(key, **_ONCE)
        data: bytes = await stream.readall()
        return data

    async def write(self, key: str, data: bytes) -> None:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        await self._client.upload_blob(key, data, overwrite=True, metadata=_FILE, **_ONCE)

    async def create(self, key: str, data: bytes, writer: str) -> None:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        metadata = {**_FILE, _WRITER: writer}
        await self._client.upload_blob(key, data, overwrite=False, metadata=metadata, **_ONCE)

    async def writer(self, key: str) -> Optional[str]:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        properties = await self._client.get_blob_client(key).get_blob_properties(**_ONCE)
        name: Optional[str] = (properties.metadata or {}).get(_WRITER)
        return name

    async def exists(self, key: str) -> bool:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        try:
            properties = await self._client.get_blob_client(key).get_blob_properties(**_ONCE)
        except Exception as error:
            if self.diagnose(error).kind is Kind.MISSING:
                return False
            raise
        return not _is_folder(properties)

    async def find(self, prefix: str, limit: Optional[int] = None) -> List[Listed]:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        found = []
        blobs = self._client.list_blobs(
            name_starts_with=prefix or None, include=["metadata"], **_ONCE
        )
        async for blob in blobs:
            if not _is_folder(blob):
                found.append(_listed(blob))
                if limit is not None and len(found) >= limit:
                    break
        return found

    async def children(self, prefix: str) -> List[str]:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        blobs = self._client.walk_blobs(
            name_starts_with=prefix or None, include=["metadata"], delimiter="/", **_ONCE
        )
        return [
            blob.name[len(prefix) :]
            async for blob in blobs
            if blob.name != prefix and (blob.name.endswith("/") or not _is_folder(blob))
        ]

    async def put(self, local: str, key: str, size: int, sent: Sent) -> None:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        more: Dict[str, Any] = dict(_ONCE)
        if size > _MOST_IN_ONE_REQUEST:
            more = {"content_settings": await self._settings(local)}

        async def hear(current: int, total: Optional[int]) -> None:
            sent(current)

        with open(local, "rb") as stream:
            await self._client.upload_blob(
                key,
                stream,
                length=size,
                overwrite=True,
                metadata=_FILE,
                max_concurrency=4,
                progress_hook=hear,
                **more,
            )

    async def get(self, key: str, local: str, sent: Sent, large: AsyncContextManager[None]) -> None:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""

        async def hear(current: int, total: Optional[int]) -> None:
            sent(current)

        stream = await self._client.download_blob(
            key, max_concurrency=4, progress_hook=hear, **_ONCE
        )
        with open(local, "wb") as file:
            if stream.size < LARGE:
                await stream.readinto(file)
                return
            async with large:
                await stream.readinto(file)

    async def delete(self, keys: List[str]) -> None:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        from airflow_aml.workspace.stores.transfer import run_all

        async def remove(key: str) -> None:
            try:
                await self._client.delete_blob(key, delete_snapshots="include", **_ONCE)
            except Exception as error:
                if self.diagnose(error).kind is not Kind.MISSING:
                    raise

        await run_all(keys, remove, self.workers)

    def same(self, local: str, listed: Listed) -> bool:
        """See :class:`~airflow_aml.workspace.stores.backend.Backend`."""
        return listed.md5 is not None and md5_of(local).hex() == listed.md5

    async def _settings(self, local: str) -> Any:
        """A file that goes in blocks gets no MD5 from the service; with one it can be resumed."""
        from azure.storage.blob import ContentSettings

        digest = await self.loop.run_in_executor(None, md5_of, local)
        return ContentSettings(content_md5=bytearray(digest))


class _Sender:
    """What sends a transport's requests, and gives up one that cannot be sent."""

    def __init__(self, transport: Any) -> None:
        self._send = transport.send
        self._config = transport.connection_config

    async def __call__(self, request: Any, **config: Any) -> Any:
        from azure.core.exceptions import ServiceResponseTimeoutError

        size = int(request.headers.get("Content-Length") or 0)
        try:
            return await in_time(self._send(request, **config), self._config.read_timeout, size)
        except asyncio.TimeoutError as error:
            raise ServiceResponseTimeoutError("the request took too long") from error


def _limit(transport: Any, options: Mapping[str, Any]) -> None:
    """Limits how long a request takes; adlfs hands none of this to the client that it makes."""
    config = transport.connection_config
    config.timeout = options.get("connection_timeout") or CONNECT_SECONDS
    config.read_timeout = options.get("read_timeout") or READ_SECONDS
    if not isinstance(transport.send, _Sender):  # adlfs gives the same client for the same options
        transport.send = _Sender(transport)


def _kind(status: int, code: str) -> Kind:
    if code in _NO_CONTAINER:
        return Kind.NO_CONTAINER
    if status == 404:
        return Kind.MISSING
    if status in (401, 403):
        return Kind.DENIED
    if status == 412 or code == "BlobAlreadyExists":
        return Kind.EXISTS
    if status in (408, 429) or status >= 500:
        return Kind.TRANSIENT
    return Kind.OTHER


def _is_folder(blob: Any) -> bool:
    """Whether it stands for a folder: accounts with a hierarchy list these among the blobs."""
    metadata = {name.lower(): value for name, value in (blob.metadata or {}).items()}
    return "true" in (metadata.get("hdi_isfolder"), metadata.get("is_directory"))


def _listed(blob: Any) -> Listed:
    settings = blob.content_settings
    md5 = settings.content_md5 if settings is not None else None
    return Listed(
        blob.name, blob.size, str(blob.etag).strip('"'), bytes(md5).hex() if md5 else None
    )
