"""The stores that a job's places are in. Only a job with a URI in it needs this."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Tuple

from airflow_aml.runtime import is_uri
from airflow_aml.workspace.credentials import all_handed
from airflow_aml.workspace.stores import open_store
from airflow_aml.workspace.stores.base import Progress, Store
from airflow_aml.workspace.stores.local import LocalStore
from airflow_aml.workspace.stores.progress import Report, amount

if TYPE_CHECKING:
    from airflow_aml.workspace.manifests import Manifest

SECONDS_BETWEEN_LINES = 5.0


class Places:
    """The remote stores of one job, and a place for lines about them in the task's log.

    Args:
        environ: variables, of which one has what opens the stores.
        write: takes lines.
    """

    def __init__(self, environ: Mapping[str, str], write: Callable[[bytes], None]) -> None:
        self._handed = all_handed(environ)
        self._write = write
        self._stores: Dict[str, Store] = {}

    def locate(self, place: str) -> Tuple[Store, str]:
        """The store that a path or URI of a job is in, and its path there.

        The store is opened as this job was told to; without a word about it, as its library finds
        out by itself.
        """
        if not is_uri(place):
            folder, name = os.path.split(place)
            return LocalStore(folder), name
        urls = [url for url in self._handed if place == url or place.startswith(f"{url}/")]
        url = max(urls, key=len, default="") or _container(place)
        if url not in self._stores:
            self._stores[url] = open_store(url, self._handed.get(url))
        return self._stores[url], place[len(url) :].strip("/")

    def say(self, text: str) -> None:
        """Writes a line into the task's log."""
        self._write(f"airflow_aml: {text}\n".encode("utf-8", "backslashreplace"))

    def telling(self, what: str, files: int, size: int, check: Callable[[], None]) -> Telling:
        """The progress of a transfer of so many files and bytes."""
        report = Report(what, self.say, files, size, every=SECONDS_BETWEEN_LINES)
        return Telling(report, check)


class Telling:
    """The progress of one transfer: lines in the log, and a chance to stop."""

    def __init__(self, report: Report, check: Callable[[], None]) -> None:
        self._report = report
        self._check = check

    @property
    def progress(self) -> Progress:
        """What a store calls."""
        return self._hear

    def end(self) -> None:
        """Says the last line of a transfer that was long enough for others."""
        self._report.end()

    def _hear(self, files: int, count: int) -> None:
        self._check()
        self._report(files, count)


def _container(uri: str) -> str:
    scheme, _, rest = uri.partition("://")
    return f"{scheme}://{rest.partition('/')[0]}"


def read_document(store: Store, path: str) -> Optional[Dict[str, Any]]:
    """A small document that says who is at work; None where there is none, empty if damaged."""
    try:
        document = json.loads(store.read(path))
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def pairs_of(source: str, path: str, manifest: Manifest) -> List[Tuple[str, str]]:
    """(local path, path in the store) of every file of an output, for an upload."""
    return [
        (os.path.join(source, each.path), f"{path}/{each.path}") if each.path else (source, path)
        for each in manifest.files
    ]


def counted(files: int, size: int) -> str:
    """How much that is, for people."""
    return f"{files:,} file{'' if files == 1 else 's'}, {amount(size)}"
