"""Where an author wants an output to be: a datastore, and a path in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_aml.workspace.datastores import BUILT_IN
from airflow_aml.workspace.uris import uri_of_path

if TYPE_CHECKING:
    from airflow_aml.reuse.places import Places
    from airflow_aml.reuse.records import StepRecord

RUN_ID = "{run-id}"

_FOLDERS = {"reference": "azureml"}
"""Where v1 puts outputs whose author names no path, by style; others below ``dataset``."""


class Destination(NamedTuple):
    """A place in a datastore; ``path`` may hold ``{run-id}``."""

    datastore: str
    path: str

    def uri(self, places: Places) -> str:
        """Where that is; of a path with ``{run-id}`` what comes before it.

        Raises:
            UserErrorException, WorkspaceException: the datastore cannot be opened.
        """
        path = self.path.partition(RUN_ID)[0].strip("/")
        store = places.datastore(self.datastore)
        root = store.local_root
        return store.uri(path) if root is None else uri_of_path(str(Path(root, path)))


def destination(
    name: str, output: Mapping[str, Any], default: Callable[[], str]
) -> Destination | None:
    """The place that is wanted for an output; None for one of the workspace's own.

    Args:
        output: its ``style``, ``datastore`` and ``path``, as a key has them.
        default: the name of the default datastore, asked for when it is needed.
    """
    datastore, path = output["datastore"] or default(), output["path"]
    if path is None:
        if datastore in BUILT_IN:
            return None
        # v1's own places, in a store that the author or the workspace's default names.
        path = f"{_FOLDERS.get(output['style'], 'dataset')}/{RUN_ID}/{{output-name}}"
    return Destination(datastore, path.replace("{output-name}", name))


def wanted_view(record: StepRecord, name: str, places: Places) -> tuple[str, Destination] | None:
    """The URI of the fixed destination that an output is to be seen in now, if it has one.

    Raises:
        UserErrorException, WorkspaceException: the datastore cannot be opened.
    """
    found = _wanted(record, name, places)
    if found is None or RUN_ID in found.path:
        return None
    return found.uri(places), found


def elsewhere(record: StepRecord, name: str, places: Places) -> str | None:
    """Why an output that no fixed destination shows is in another datastore than it is to be in.

    Raises:
        UserErrorException, WorkspaceException: the datastore cannot be opened.
    """
    found = _wanted(record, name, places)
    if found is None or RUN_ID not in found.path:
        return None
    output, place = record.outputs[name], found.uri(places)
    if output.uri.startswith(place) or (output.view or "").startswith(place):
        return None
    return f"output {name!r} is to be in datastore {found.datastore!r} now"


def _wanted(record: StepRecord, name: str, places: Places) -> Destination | None:
    output = record.key.get("outputs", {}).get(name)
    if output is None:
        return None
    return destination(name, output, places.default_datastore)
