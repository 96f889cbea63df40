"""Carrying out what a file has declared: the first task of every run does it, and may do it again.

Each action leaves alone what is already as it should be: files of equal content are not uploaded
again, and a definition that is a name's latest version makes no new one.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from airflow_aml.codec import decode, encode
from airflow_aml.definition.computes.known import CREATE_COMPUTE, DELETE_COMPUTE, site
from airflow_aml.definition.data.model import (
    Registered,
    definition_id,
    definition_of,
    with_operations,
)
from airflow_aml.definition.data.places import anchored_in
from airflow_aml.definition.data.transfers import existing, file_pairs, folder_pairs
from airflow_aml.definition.data.writing import matching_pairs
from airflow_aml.definition.modeldetails import kept_datasets
from airflow_aml.definition.setup import (
    REGISTER_DATASET,
    REGISTER_DATASTORE,
    REGISTER_ENVIRONMENT,
    REGISTER_MODEL,
    SET_DEFAULT_DATASTORE,
    UPLOAD_FILES,
    UPLOAD_FOLDER,
    SetupAction,
)
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace import computes, datasets, environments, models
from airflow_aml.workspace.curated import site_curated
from airflow_aml.workspace.datastores import (
    DatastoreRecord,
    load_datastore,
    open_datastore,
    save_datastore,
    secret_of,
    set_default_datastore,
)
from airflow_aml.workspace.home import Home
from airflow_aml.workspace.stores.progress import Report

Said = Callable[[str], None]


def apply_setup(
    actions: Sequence[SetupAction], folder: str, home: Home, say: Optional[Said] = None
) -> List[str]:
    """Carries out what a file declared, in its order; returns a sentence for each action.

    Args:
        folder: absolute; the actions' local paths start here.
        say: hears each sentence as soon as it is true.

    Raises:
        UserErrorException: an action cannot be done; the text says which and why.
    """
    done = []
    for action in actions:
        try:
            sentence = _APPLY[action.action](action, folder, home, say or _nobody)
        except UserErrorException as error:
            name = action.arguments.get("name") or action.arguments.get("datastore") or ""
            raise UserErrorException(
                str(error), where=f"{action.action.replace('_', ' ')} {name}".strip()
            ) from error
        done.append(sentence)
        if say is not None:
            say(sentence)
    return done


def _register_datastore(action: SetupAction, folder: str, home: Home, say: Said) -> str:
    record = decode(DatastoreRecord, action.arguments["record"])
    try:
        known: Optional[DatastoreRecord] = load_datastore(home, record.name)
    except UserErrorException:
        known = None
    if known == record and secret_of(home, record) == action.secret:
        return f"datastore {record.name!r} is registered already"
    # A key that was changed is brought up to date; another place needs the author's overwrite=True.
    overwrite = action.arguments["overwrite"] or known == record
    save_datastore(home, record, action.secret, overwrite=overwrite)
    return f"datastore {record.name!r} registered ({record.type})"


def _set_default(action: SetupAction, folder: str, home: Home, say: Said) -> str:
    name = action.arguments["name"]
    set_default_datastore(home, name)
    return f"datastore {name!r} is the default one"


def pairs_of(action: SetupAction, folder: str) -> List[Tuple[str, str]]:
    """The files of an upload: (local path, path in the datastore).

    Raises:
        UserErrorException: a file or folder is not there.
    """
    arguments = action.arguments
    target = arguments["target"]
    if action.action == UPLOAD_FOLDER:
        pairs = folder_pairs(_path(folder, arguments["folder"]), target)
        return matching_pairs(pairs, target, arguments.get("pattern"))
    root = arguments["relative_root"]
    files = [_path(folder, each) for each in arguments["files"]]
    return file_pairs(files, root and _path(folder, root), target)


def _upload(action: SetupAction, folder: str, home: Home, say: Said) -> str:
    arguments, pairs = action.arguments, pairs_of(action, folder)
    # `overwrite` in the file means "bring it up to date": once for a program, each time for a run.
    store = open_datastore(home, arguments["datastore"])
    name = load_datastore(home, arguments["datastore"]).name
    wanted = pairs
    if not arguments["overwrite"]:
        there = existing(store, [path for _, path in pairs])
        wanted = [pair for pair in pairs if pair[1] not in there]
    target = arguments["target"] or "/"
    progress = Report(f"uploading to datastore {name!r} at {target}", say, len(wanted))
    store.upload(wanted, progress, skip_same=True)
    progress.end()
    files = "1 file is" if len(pairs) == 1 else f"{len(pairs)} files are"
    return f"{files} in datastore {name!r} at {target}"


def _register_dataset(action: SetupAction, folder: str, home: Home, say: Said) -> str:
    arguments = action.arguments
    name = arguments["name"]
    source: Dict[str, Any] = arguments["source"]
    definition = anchored_in(resolve(source, home), folder, home)
    version = datasets.DatasetVersion(
        definition_id(definition),
        encode(definition),
        arguments["description"],
        arguments["tags"],
        datasets.now(),
    )
    known = datasets.find(home, name)
    new_version = arguments["create_new_version"] or (
        known is not None and known.version.id == version.id
    )
    found = datasets.register(home, name, version, new_version=new_version)
    return f"dataset {name!r} is registered, version {found.number}"


def _register_environment(action: SetupAction, folder: str, home: Home, say: Said) -> str:
    name = action.arguments["name"]
    site = site_curated(os.environ)
    version = environments.register(home, name, action.arguments["document"], site)
    return f"environment {name!r} is registered, version {version}"


def _register_model(action: SetupAction, folder: str, home: Home, say: Said) -> str:
    name, said = action.arguments["name"], decode(models.ModelVersion, action.arguments["version"])

    def saved(dataset: Any) -> str:
        if isinstance(dataset, str):
            datasets.by_id(home, dataset)  # the error where there is none
            return dataset
        definition = anchored_in(resolve(dataset, home), folder, home)
        identity = definition_id(definition)
        datasets.save_definition(home, identity, encode(definition))
        return identity

    version = replace(said, created=datasets.now(), details=kept_datasets(said.details, saved))
    path = _path(folder, action.arguments["path"])
    number, is_new = models.register_once(home, name, path, version)
    return f"model {name!r} is registered{'' if is_new else ' already'}, version {number}"


def _create_compute(action: SetupAction, folder: str, home: Home, say: Said) -> str:
    record = decode(computes.ComputeRecord, action.arguments["record"])
    if record.name in site():
        return f"compute {record.name!r} is the site's own"
    there = record.name in computes.compute_names(home)
    if there and computes.load_compute(home, record.name) == record:
        return f"compute {record.name!r} is known already"
    computes.save_compute(home, record)
    return f"compute {record.name!r} is known to the workspace ({record.type})"


def _delete_compute(action: SetupAction, folder: str, home: Home, say: Said) -> str:
    name = action.arguments["name"]
    gone = computes.remove_compute(home, name)
    return f"compute {name!r} is {'forgotten' if gone else 'not known any more'}"


def resolve(source: Mapping[str, Any], home: Home) -> Any:
    """The definition that a source's document means, registered names looked up."""
    if source["kind"] != "registered":
        return definition_of(source)
    named = decode(Registered, source)
    found = datasets.get(home, named.name, named.version)
    return with_operations(definition_of(found.version.definition), named.operations)


def _path(folder: str, path: str) -> str:
    return os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def _nobody(text: str) -> None:
    """Hears nothing."""


_APPLY: Mapping[str, Callable[[SetupAction, str, Home, Said], str]] = {
    REGISTER_DATASTORE: _register_datastore,
    SET_DEFAULT_DATASTORE: _set_default,
    UPLOAD_FOLDER: _upload,
    UPLOAD_FILES: _upload,
    REGISTER_DATASET: _register_dataset,
    REGISTER_ENVIRONMENT: _register_environment,
    REGISTER_MODEL: _register_model,
    CREATE_COMPUTE: _create_compute,
    DELETE_COMPUTE: _delete_compute,
}
