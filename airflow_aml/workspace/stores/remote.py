"""A store in an object store."""

from __future__ import annotations

import os
import random
from typing import (
    Any,
    Awaitable,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    TypeVar,
)

from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace.documents import temporary_name
from airflow_aml.workspace.stores.backend import LARGE, Backend, Listed
from airflow_aml.workspace.stores.base import Progress, StoredFile
from airflow_aml.workspace.stores.paths import checked, checked_folder, checked_prefix
from airflow_aml.workspace.stores.transfer import Meter, run_all, wait_for
from airflow_aml.workspace.stores.trouble import Kind, Secrets, Trouble

_T = TypeVar("_T")
_LARGE_AT_ONCE = 4
_SILENT_TRIES = 2
_MAY_PASS = (Kind.TRANSIENT, Kind.SILENT)


class _Job(NamedTuple):
    """One file to transfer, and what a listing knows of it."""

    local: str
    key: str
    listed: Optional[Listed]


class FsspecStore:
    """A folder of a container or bucket.

    A request that fails for a reason that may pass (no answer, throttling, an error inside the
    service) is sent again, five times in about twenty seconds; one that nobody answers, once, as
    that takes as long as the client waits for an answer.

    Attributes:
        delays: seconds to wait before each further try, about.

    Args:
        url: without a slash at its end.
        prefix: keys of files begin with it: empty, or with a slash at its end.
        connect: opens the container; called once per process, as its client survives no fork.
        options: what it is opened with; secrets in it are masked in every text.
    """

    local_root: Optional[str] = None
    delays: Tuple[float, ...] = (0.2, 0.6, 1.8, 5.4, 12.0)

    def __init__(
        self, url: str, prefix: str, connect: Callable[[], Backend], options: Mapping[str, Any]
    ) -> None:
        self.url = url
        self._prefix = prefix
        self._connect = connect
        self._secrets = Secrets(options)
        self._connected: Optional[Tuple[int, Backend]] = None

    def __repr__(self) -> str:
        return f"FsspecStore({self.url!r})"

    def read(self, path: str) -> bytes:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        key = self._key(path)
        return self._run(path, lambda backend: backend.read(key))

    def write(self, path: str, data: bytes, *, durable: bool = True) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        key = self._key(path)
        self._run(path, lambda backend: backend.write(key, data))

    def create(self, path: str, data: bytes, *, durable: bool = True) -> bool:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        key = self._key(path)
        signature = os.urandom(16).hex()
        tries = []

        async def create(backend: Backend) -> bool:
            tries.append(1)
            try:
                await backend.create(key, data, signature)
            except Exception as error:
                if backend.diagnose(error).kind is not Kind.EXISTS:
                    raise
                # An earlier try may have got through although its answer did not.
                return len(tries) > 1 and await backend.writer(key) == signature
            return True

        return self._run(path, create)

    def exists(self, path: str) -> bool:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        key = self._prefix + checked_prefix(path, self.url)

        async def exists(backend: Backend) -> bool:
            if path and not path.endswith("/"):
                return await backend.exists(key)
            return bool(await backend.find(key, 1))

        return self._run(path, exists)

    def find(self, prefix: str = "") -> Iterator[StoredFile]:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        key = self._prefix + checked_prefix(prefix, self.url)
        found = self._run(prefix, lambda backend: backend.find(key))
        start = len(self._prefix)
        return iter(
            sorted(
                (StoredFile(each.key[start:], *each[1:]) for each in found),
                key=lambda file: file.path,
            )
        )

    def children(self, prefix: str = "") -> List[str]:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        key = self._prefix + checked_folder(prefix, self.url)
        return sorted(self._run(prefix, lambda backend: backend.children(key)))

    def upload(
        self,
        pairs: Sequence[Tuple[str, str]],
        progress: Optional[Progress] = None,
        *,
        skip_same: bool = True,
    ) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        given = [(os.fspath(local), self._key(path)) for local, path in pairs]
        meter = Meter()

        async def upload(backend: Backend) -> None:
            jobs = await self._jobs(backend, given, skip_same)
            large = _large()

            async def put(job: _Job) -> None:
                size = os.stat(job.local).st_size
                if not await _is_same(backend, job):
                    sent = meter.of(job.key)
                    if size < LARGE:
                        await backend.put(job.local, job.key, size, sent)
                    else:
                        async with large:
                            await backend.put(job.local, job.key, size, sent)
                meter.finished(job.key, size)

            await self._transfer(backend, jobs, put)

        self._wait(upload, meter, progress)

    def download(
        self,
        pairs: Sequence[Tuple[str, str]],
        progress: Optional[Progress] = None,
        *,
        skip_same: bool = True,
    ) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        given = [(os.path.abspath(local), self._key(path)) for path, local in pairs]
        for folder in {os.path.dirname(local) for local, _ in given}:
            os.makedirs(folder, exist_ok=True)
        meter = Meter()

        async def download(backend: Backend) -> None:
            resuming = skip_same and any(os.path.exists(local) for local, _ in given)
            jobs = await self._jobs(backend, given, resuming)
            large = _large()

            async def get(job: _Job) -> None:
                if not await _is_same(backend, job):
                    await _get(backend, job, meter, large)
                meter.finished(job.key, os.stat(job.local).st_size)

            await self._transfer(backend, jobs, get)

        self._wait(download, meter, progress)

    def delete(self, paths: Sequence[str]) -> None:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        keys = [self._key(path) for path in paths]
        if keys:
            self._run(paths[0], lambda backend: backend.delete(keys))

    def uri(self, path: str = "") -> str:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        return f"{self.url}/{checked(path, self.url)}" if path else self.url

    def _key(self, path: str) -> str:
        return self._prefix + checked(path, self.url)

    @property
    def _backend(self) -> Backend:
        process = os.getpid()
        if self._connected is None or self._connected[0] != process:
            try:
                self._connected = (process, self._connect())
            except ImportError:
                raise
            except Exception as error:  # noqa: BLE001 - it may be of any library
                raise WorkspaceException(
                    f"the store cannot be opened: {self._secrets.masked(str(error))}.",
                    where=self.url,
                ) from None
        return self._connected[1]

    def _run(self, path: str, act: Callable[[Backend], Awaitable[_T]]) -> _T:
        backend = self._backend
        return wait_for(backend.loop, self._retried(backend, path, act))

    def _wait(
        self,
        transfer: Callable[[Backend], Any],
        meter: Meter,
        progress: Optional[Progress],
    ) -> None:
        backend = self._backend
        wait_for(backend.loop, transfer(backend), meter, progress)

    async def _retried(
        self, backend: Backend, path: str, act: Callable[[Backend], Awaitable[_T]]
    ) -> _T:
        import asyncio

        silent = 0
        for delay in (*self.delays, None):
            try:
                return await act(backend)
            except Exception as error:  # noqa: BLE001, PERF203 - the backend tells what it means
                _raise_if_local(error)
                trouble = backend.diagnose(error)
                silent += trouble.kind is Kind.SILENT
                again = trouble.kind in _MAY_PASS and silent < _SILENT_TRIES
                if not again or delay is None:
                    # Not chained: what the library says may hold what must not be shown.
                    raise self._error(backend, trouble, path) from None
                await asyncio.sleep(delay * (0.5 + random.random()))  # noqa: S311
        raise AssertionError("the last try returns or raises")

    def _error(self, backend: Backend, trouble: Trouble, path: str) -> Exception:
        place = f"{self.url}/{path}" if path else self.url
        if trouble.kind is Kind.MISSING:
            return FileNotFoundError(f"{place} does not exist")
        said = self._secrets.masked(trouble.said)
        if trouble.kind is Kind.NO_CONTAINER:
            return WorkspaceException(
                f"there is no {backend.noun} named {backend.container!r}.",
                where=self.url,
                hint=f"Create it, or correct the URL. {backend.naming}",
            )
        if trouble.kind is Kind.DENIED:
            return WorkspaceException(
                f"the store refuses these credentials ({said}).",
                where=place,
                hint="Check the key or token, that it has not expired, and what it may do.",
            )
        if trouble.kind in _MAY_PASS:
            return WorkspaceException(f"the store does not answer ({said}).", where=place)
        return WorkspaceException(f"the store cannot do this ({said}).", where=place)

    async def _jobs(
        self, backend: Backend, pairs: Sequence[Tuple[str, str]], look: bool
    ) -> List[_Job]:
        """The transfers, each with what one listing tells about its object, if one is to look."""
        known: Dict[str, Listed] = {}
        if look and pairs:
            # Bounded: beside the few files of a transfer there may lie very many others.
            limit = 1000 + 10 * len(pairs)
            keys = [key for _, key in pairs]
            common = os.path.commonprefix(keys)  # noqa: RUF071 - what keys begin with is all
            prefix = common if len(pairs) == 1 else "".join(common.rpartition("/")[:2])
            found = await self._retried(backend, "", lambda b: b.find(prefix, limit))
            known = {each.key: each for each in found}
        return [_Job(local, key, known.get(key)) for local, key in pairs]

    async def _transfer(
        self, backend: Backend, jobs: Sequence[_Job], one: Callable[[_Job], Awaitable[None]]
    ) -> None:
        async def run(job: _Job) -> None:
            path = job.key[len(self._prefix) :]
            await self._retried(backend, path, lambda _: one(job))

        await run_all(jobs, run, backend.workers)


def _large() -> Any:
    import asyncio

    return asyncio.Semaphore(_LARGE_AT_ONCE)


def _raise_if_local(error: Exception) -> None:
    """A local file's error is told as what it is; only such errors name a file."""
    if isinstance(error, FileNotFoundError) and error.filename is not None:
        raise FileNotFoundError(f"{error.filename} does not exist") from None
    if isinstance(error, OSError) and error.filename is not None:
        raise WorkspaceException(
            f"the file cannot be used: {error.strerror or error}.", where=os.fspath(error.filename)
        ) from None


async def _is_same(backend: Backend, job: _Job) -> bool:
    """Whether the file is at the other end already."""
    if job.listed is None:
        return False
    try:
        if os.stat(job.local).st_size != job.listed.size:
            return False
    except OSError:
        return False
    if job.listed.size < 1 << 20:
        return backend.same(job.local, job.listed)
    same: bool = await backend.loop.run_in_executor(None, backend.same, job.local, job.listed)
    return same


async def _get(backend: Backend, job: _Job, meter: Meter, large: Any) -> None:
    temporary = temporary_name(job.local)
    try:
        await backend.get(job.key, temporary, meter.of(job.key), large)
        os.replace(temporary, job.local)
    except BaseException:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise
