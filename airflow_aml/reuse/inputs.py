"""What a dataset that no step writes holds when a run starts, as one digest."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_aml.definition.data.files import NoSuchFiles, SourceFile, files_of
from airflow_aml.definition.data.model import Files, Query, definition_of
from airflow_aml.definition.data.places import places_of
from airflow_aml.definition.staging import InputFiles, input_files
from airflow_aml.reuse.files import keep_files
from airflow_aml.reuse.fingerprint import NoKey
from airflow_aml.workspace.content import (
    PathsDigest,
    digest_paths,
    digest_tree,
    manifest_of,
    store_digest,
)
from airflow_aml.workspace.datastores import open_datastore
from airflow_aml.workspace.digests import digest_bytes, digest_record
from airflow_aml.workspace.stores.base import StoredFile

if TYPE_CHECKING:
    from airflow_aml.reuse.aside import Aside
    from airflow_aml.workspace.home import Home
    from airflow_aml.workspace.stores.base import Store

MOST_NAMED = 5_000
"""Of an input with more files a reason says that it changed, not which files did."""

_PATIENCE = 10.0


class NoFiles(NoKey):
    """Nothing is where the dataset's paths lead; the text is one sentence or two."""


def content_of(
    document: Mapping[str, Any],
    home: Home,
    folder: str,
    *,
    keep: bool = False,
    aside: Aside | None = None,
) -> str:
    """The digest of all files of a pinned dataset. What is done with them is in the key beside it.

    Local files are read where the worker's cache does not know them; of files in a store its own
    word counts (:func:`~airflow_aml.workspace.content.store_digest`).

    Args:
        document: the definition, with nothing left open.
        folder: absolute; relative local paths start here.
        keep: whether the files are listed in the workspace, so that a reason can name those that
            changed.
        aside: takes that list in instead.

    Raises:
        NoFiles: its files are not there.
        NoKey: nobody can tell what it holds.
        UserErrorException: they cannot be kept, as a link that leads nowhere.
        OSError: they cannot be read.
    """
    definition = definition_of(document)
    if isinstance(definition, Query):
        raise NoKey("is a query, whose answer may have changed")
    from airflow_aml.codec import encode

    try:
        found = input_files(encode(Files(definition.paths)), home, folder)
        if found.remote:
            return _of_store(found.remote, home if keep else None, aside)
        if found.exact and len(found.paths) == 1:
            if not os.path.lexists(found.paths[0]):
                files_of(definition.paths, places_of(lambda: home, folder))  # says what is missing
            return _of_tree(found.paths[0], home if keep else None, aside)
        known = _of_paths(found, home if keep else None, aside)
        if known.missing:
            files_of(definition.paths, places_of(lambda: home, folder))
        return known.digest
    except NoSuchFiles as error:
        raise NoFiles(f"{error.message} {error.hint or ''}".rstrip()) from error


def content_below(
    datastore: str,
    prefix: str,
    home: Home,
    *,
    keep: bool = False,
    aside: Aside | None = None,
) -> str:
    """The digest of all files of a datastore whose paths begin in one way; there may be none.

    Args:
        datastore: its name; empty for the default one.
        keep, aside: as of :func:`content_of`.

    Raises:
        UserErrorException, WorkspaceException, OSError: the datastore cannot be read.
    """
    store = open_datastore(home, datastore)
    found = [source_file(store, each) for each in store.find(prefix)]
    kept = home if keep else None
    if store.local_root is None:
        return _of_store(found, kept, aside)
    paths = tuple(each.local for each in found if each.local is not None)
    return _of_paths(InputFiles(paths, store.local_root, exact=True), kept, aside).digest


def source_file(store: Store, stored: StoredFile) -> SourceFile:
    """A stored file under its whole path."""
    path = stored.path
    return SourceFile(store, path, path, path, stored.size, stored.version, md5=stored.md5)


def _of_tree(path: str, home: Home | None, aside: Aside | None) -> str:
    tree = digest_tree(path)
    name = "" if os.path.isdir(path) else os.path.basename(path)
    # A script sees what a single file is called, and may read a date in it.
    digest = digest_record(["file", 1, name, tree.digest]) if name else tree.digest
    if tree.files > MOST_NAMED:
        return digest
    if home is not None:
        rows = manifest_of(path).files
        keep_files(home, digest, [(each.path or name, each.size, each.digest) for each in rows])
    if aside is not None:
        aside.inputs[digest] = lambda: {
            each.path or name: each.digest for each in manifest_of(path).files
        }
    return digest


def _of_paths(found: InputFiles, home: Home | None, aside: Aside | None) -> PathsDigest:
    root = found.root or os.path.commonpath([os.path.dirname(path) for path in found.paths])
    known = digest_paths(found.paths, root)
    if known.files <= MOST_NAMED and not known.missing:
        if home is not None:
            keep_files(home, known.digest, known.rows())
        if aside is not None:
            aside.inputs[known.digest] = lambda: {name: digest for name, _, digest in known.rows()}
    return known


def _of_store(files: Sequence[SourceFile], home: Home | None, aside: Aside | None) -> str:
    rows = sorted((each.relative, each.size, _of_file(each)) for each in files)
    digest = digest_record(["stored files", 1, *((name, content) for name, _, content in rows)])
    if home is not None and len(rows) <= MOST_NAMED:
        keep_files(home, digest, rows)
    if aside is not None and len(rows) <= MOST_NAMED:
        aside.inputs[digest] = lambda: {name: content for name, _, content in rows}
    return digest


def _of_file(file: SourceFile) -> str:
    if file.store is None:
        return _of_url(file.path)
    known = store_digest(StoredFile(file.path, file.size, file.version, file.md5))
    return known or digest_bytes(file.store.read(file.path))


def _of_url(url: str) -> str:
    """What the server says of a file, without reading it."""
    from urllib.request import Request, urlopen

    unknown = NoKey(f"is at {url}, and nobody can tell whether it changed")
    if not url.lower().startswith(("http://", "https://")):
        raise unknown
    try:
        with urlopen(Request(url, method="HEAD"), timeout=_PATIENCE) as answer:  # noqa: S310 - checked
            said = [answer.headers.get(name) for name in ("ETag", "Last-Modified")]
            size = answer.headers.get("Content-Length")
    except (OSError, ValueError) as error:
        raise NoKey(f"is at {url}, which cannot be asked ({error})") from error
    if not any(said):
        raise unknown
    return f"http:{said[0] or said[1]}-{size}"
