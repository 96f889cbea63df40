"""What a run needs and does not find when it starts, and that nothing in it is going to make."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from airflow_aml.definition.data.files import fixed_part
from airflow_aml.definition.data.model import DEFAULT, StoredPath, WebPath, definition_of
from airflow_aml.definition.data.places import places_of
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.datastores import default_datastore, load_datastore, open_datastore

if TYPE_CHECKING:
    from airflow_aml.definition.registered import PinnedDataset
    from airflow_aml.definition.spec import NodeSpec, OutputSpec, PipelineSpec
    from airflow_aml.reuse.facts import Pinned
    from airflow_aml.workspace.home import Home

Absent = tuple["NodeSpec", str, str]
"""The step, its input's name, and the sentence that says what is not there."""


def refuse_absent_datastores(
    spec: PipelineSpec, pinned: Pinned, home: Home, declared: Collection[str] = ()
) -> None:
    """Refuses a run of which a step would use a datastore that nobody has registered.

    Nor may it be a folder that is not there.

    Args:
        declared: datastores that the run is going to register or change first, "" if the default
            one is among them.

    Raises:
        UserErrorException: there is no such datastore; the text lists names like it.
    """
    known = {*declared}
    for name, where in _used(spec, pinned):
        if name not in known:
            known.add(name)
            try:
                if load_datastore(home, name).url.startswith("file:"):
                    open_datastore(home, name)
            except UserErrorException as error:
                raise UserErrorException(error.message, where=where, hint=error.hint) from error


def _used(spec: PipelineSpec, pinned: Pinned) -> Iterator[tuple[str, str]]:
    """The datastores that steps use, "" for the default one, and who uses them for what."""
    for node in spec.nodes:
        for output in node.outputs:
            yield output.datastore or "", f"step {node.name!r}, output {output.name!r}"
        for name, each in pinned.get(node.id, {}).items():
            for place in getattr(definition_of(each.definition), "paths", ()):
                if isinstance(place, StoredPath):
                    yield place.datastore, f"step {node.name!r}, input {name!r}"


def refuse_absent(
    absent: Sequence[Absent],
    spec: PipelineSpec,
    pinned: Pinned,
    home: Home,
    folder: str,
    declared: Collection[str] = (),
) -> None:
    """Refuses a run of which a step could only fail, before the steps above it have run.

    Args:
        absent: what :attr:`~airflow_aml.reuse.facts.RunFacts.absent` has heard.
        folder: absolute; the spec's relative paths start here.
        declared: datastores that the run is going to register or change first, "" if the default
            one is among them: where outputs go there nobody can tell yet.

    Raises:
        UserErrorException: an input is not there, and no other step has its fixed destination
            where the input is.
    """
    for node, name, sentence in absent:
        shown = list(_shown_elsewhere(node, spec))
        if any((output.datastore or DEFAULT) in declared for output, _ in shown):
            continue
        made = list(_destinations(shown, home))
        read = _places(pinned[node.id][name], home, folder)
        if not any(_touches(one, other) for one in made for other in read):
            raise UserErrorException(sentence, where=f"step {node.name!r}, input {name!r}")


def _destinations(shown: Iterable[tuple[OutputSpec, str]], home: Home) -> Iterator[str]:
    """Where outputs are published, as URIs; of a template the folders before it."""
    for output, template in shown:
        store = open_datastore(home, output.datastore or default_datastore(home))
        path = template.replace("{output-name}", output.name)
        yield store.uri(fixed_part(path.replace("{", "*")))


def _shown_elsewhere(reader: NodeSpec, spec: PipelineSpec) -> Iterator[tuple[OutputSpec, str]]:
    """The outputs of other steps that have a destination with a path, and that path."""
    for node in spec.nodes:
        if node.id != reader.id:
            yield from ((output, output.path) for output in node.outputs if output.path)


def _places(pinned: PinnedDataset, home: Home, folder: str) -> Iterator[str]:
    places = places_of(lambda: home, folder)
    for place in getattr(definition_of(pinned.definition), "paths", ()):
        if not isinstance(place, WebPath):
            store, path, _ = places.look_up(place)
            yield store.uri(fixed_part(path))


def _touches(one: str, other: str) -> bool:
    first, second = f"{one.rstrip('/')}/", f"{other.rstrip('/')}/"
    return first.startswith(second) or second.startswith(first)
