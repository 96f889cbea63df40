"""In a store that answers slowly: what a walk is likely to ask, asked all at once beforehand.

A walk goes from step to step, and each question waits for the answer to the one before. But each
step's latest record tells which questions these will be while nothing has changed. Where the guess
was wrong, the walk asks by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from airflow_aml.reuse import layout
from airflow_aml.reuse.fingerprint import NoKey, complete
from airflow_aml.reuse.records import NotARecord, StepRecord

if TYPE_CHECKING:
    from airflow_aml.reuse.walk import WalkStep
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.stores.base import Store, StoredFile

AT_ONCE = 16

Question = tuple[str, str]
"""Method of a store, and the path or prefix that it is asked for."""


def asked_ahead(home: Home, dag_id: str, steps: Sequence[WalkStep]) -> Home:
    """The same workspace for one walk, with the answers that the walk will most likely want.

    A workspace on this machine answers at once and is returned as it is.
    """
    if home.is_local or len(steps) < 2:
        return home
    from concurrent.futures import ThreadPoolExecutor

    store = _Foreseen(home.store)
    likely = [step for step in steps if step.allow_reuse and not step.key.get("unknown")]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        copies = [("read", layout.latest(dag_id, step.id)) for step in likely]
        folders = [("children", folder) for folder in _folders(likely)]
        list(pool.map(store.ask, [*copies, *folders]))
        questions = [each for copy in copies for each in _next(store.known.get(copy), home.url)]
        for _, folder in folders:
            names = store.known.get(("children", folder))
            questions += [("read", folder + name) for name in (names or ())[-1:]]
        list(pool.map(store.ask, dict.fromkeys(questions)))
    return replace(home, _remote=cast("Store", store))


def _folders(steps: Sequence[WalkStep]) -> Iterator[str]:
    """Where the records are of steps that read from no other."""
    for step in steps:
        try:
            yield layout.records(complete(step.key, {}).digest)
        except NoKey:
            continue


def _next(copy: Any, url: str) -> Iterator[Question]:
    """What is asked of a step whose latest record still holds."""
    try:
        record = StepRecord.from_bytes(copy)
    except (NotARecord, TypeError):
        return
    yield "children", layout.records(record.fingerprint)
    yield "read", layout.record(record.fingerprint, record.created, record.step_run_id)
    for output in record.outputs.values():
        if output.uri.startswith(f"{url}/"):
            yield "find", f"{output.uri[len(url) + 1 :]}/"


class _Foreseen:
    """A store that has answered some questions already; all others it passes on.

    Attributes:
        known: the answers; None to a ``read`` of what is not there.
    """

    local_root = None

    def __init__(self, store: Store) -> None:
        self.url = store.url
        self.known: dict[Question, Any] = {}
        self._store = store

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def ask(self, question: Question) -> None:
        """Gets an answer; without one the question is left to whoever needs it."""
        method, path = question
        ask: Callable[[str], Any] = getattr(self._store, method)
        try:
            answer = ask(path)
            self.known[question] = list(answer) if method == "find" else answer
        except FileNotFoundError:
            self.known[question] = None
        except Exception:  # noqa: BLE001 - nobody has asked for it yet
            return

    def read(self, path: str) -> bytes:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        if ("read", path) not in self.known:
            return self._store.read(path)
        data: bytes | None = self.known["read", path]
        if data is None:
            raise FileNotFoundError(f"{self.url}/{path} does not exist")
        return data

    def children(self, prefix: str = "") -> list[str]:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        found = self.known.get(("children", prefix))
        return self._store.children(prefix) if found is None else list(found)

    def find(self, prefix: str = "") -> Iterator[StoredFile]:
        """See :class:`~airflow_aml.workspace.stores.base.Store`."""
        found = self.known.get(("find", prefix))
        return self._store.find(prefix) if found is None else iter(found)
