"""Models: registered files with names, versions, tags (reference 1.1)."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from airflow_aml.codec import encode
from airflow_aml.definition.homes import home_of
from airflow_aml.definition.modeldetails import (
    Detailed,
    dataset_id,
    dataset_source,
    details_of,
)
from airflow_aml.definition.modelsearch import (
    Wanted,
    find_model,
    fits,
    local_model,
    note_known,
    note_listing,
)
from airflow_aml.definition.names import check_mapping, warn_ignored
from airflow_aml.definition.setup import (
    REGISTER_MODEL,
    declare,
    is_loading,
    refuse_while_loading,
)
from airflow_aml.errors import ModelNotFoundException, NotServedError, UserErrorException
from airflow_aml.runtime.hidden import origin

if TYPE_CHECKING:
    from airflow_aml.definition.modeldetails import ResourceConfiguration
    from airflow_aml.definition.runs.context import Run
    from airflow_aml.workspace.models import ModelVersion

_CACHE = "azureml-models"
"""Where v1 puts a model that a script asks for, below the folder it runs in."""

_DECLARED = 0
"""The version of a model that a file has only declared: none that there is, those begin at 1."""

_NAME = re.compile(r"[^\W_][\w.-]{0,254}\Z")


def _refused(name: str) -> Any:
    """A method of v1's that deploys a model, or readies it for that."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise NotServedError(
            f"Model.{name} is not served: models are kept and versioned here, not deployed.",
            hint="Model.register keeps one; whatever serves it takes it by Model.download.",
        )

    refuse.__doc__ = "Never served: models are kept and versioned here, not deployed."
    return staticmethod(refuse)


class Model(Detailed):
    """One version of a registered model.

    Args:
        workspace: where it is registered.
        name: with ``version``; the latest version when that is not given.
        id: ``name:version``, instead of a name.
        tags, properties: what it must have: names, ``[name, value]`` pairs, or a dict; the newest
            version that has all of them.
        run_id: of the run that must have registered it.

    Raises:
        ModelNotFoundException: there is no such model; the text says what there is.
    """

    deploy, package = _refused("deploy"), _refused("package")
    print_configuration, profile = _refused("print_configuration"), _refused("profile")

    def __init__(
        self,
        workspace: Any,
        name: Optional[str] = None,
        id: Optional[str] = None,  # noqa: A002 - v1's name
        tags: Wanted = None,
        properties: Wanted = None,
        version: Optional[int] = None,
        run_id: Optional[str] = None,
        model_framework: Optional[str] = None,
        *,
        _found: Optional[Tuple[int, ModelVersion]] = None,
        **others: Any,
    ):
        if _found is None:
            refuse_while_loading("Model")
        warn_ignored("Model", others)
        if id is not None:
            name, number = id.rsplit(":", 1) if ":" in id else (id, "")
            version = int(number) if number.isdigit() else None
        if not name:
            raise UserErrorException("Model needs a name or an id.")
        self.workspace = workspace
        self.name = name
        found = _found or find_model(workspace, name, version, tags, properties, run_id)
        self.version: int = found[0]
        self._known: ModelVersion = found[1]
        self._was_asked = False

    @classmethod
    def _of(cls, workspace: Any, name: str, version: int, known: ModelVersion) -> Model:
        return cls(workspace, name, _found=(version, known))

    @staticmethod
    def register(
        workspace: Any,
        model_path: str,
        model_name: str,
        tags: Optional[Mapping[str, Any]] = None,
        properties: Optional[Mapping[str, Any]] = None,
        description: Optional[str] = None,
        datasets: Any = None,
        model_framework: Optional[str] = None,
        model_framework_version: Optional[str] = None,
        child_paths: Optional[Sequence[str]] = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Optional[ResourceConfiguration] = None,
        **others: Any,
    ) -> Model:
        """Stores a local file or folder as the next version of that name.

        While a file is only being loaded this is declared: the first run registers it, once. Until
        then its version is 0.

        Args:
            datasets: pairs of a purpose (``training``) and a dataset.

        Raises:
            UserErrorException: there is nothing at the path, the name cannot be used, or what is
                given besides is something else than it has to be.
        """
        from airflow_aml.definition.runs.registering import note_registered
        from airflow_aml.workspace import models

        _check_name(model_name)
        warn_ignored("Model.register", [*others, *(["child_paths"] if child_paths else [])])
        loading = is_loading()
        if not loading and not os.path.exists(model_path):
            raise UserErrorException(
                f"there is no file or folder {model_path!r} in {os.getcwd()}.",
                where=f"model {model_name!r}",
            )
        given = {
            "framework": model_framework,
            "framework_version": model_framework_version,
            "datasets": datasets,
            "sample_input_dataset": sample_input_dataset,
            "sample_output_dataset": sample_output_dataset,
            "resource_configuration": resource_configuration,
        }
        details = details_of(given, dataset_source if loading else dataset_id(workspace))
        version = _version_of(description, tags, properties, details)
        said = {"name": model_name, "path": os.fspath(model_path), "version": encode(version)}
        if declare(REGISTER_MODEL, said):
            return Model._of(workspace, model_name, _DECLARED, version)
        number, stored = models.register(home_of(workspace), model_name, model_path, version)
        note_registered(model_name, number, stored.id)
        return Model._of(workspace, model_name, number, stored)

    @staticmethod
    def list(
        workspace: Any,
        name: Optional[str] = None,
        tags: Wanted = None,
        properties: Wanted = None,
        run_id: Optional[str] = None,
        latest: bool = False,
        expand: bool = True,
        **others: Any,
    ) -> List[Model]:
        """The models that match, the newest version of each name first.

        Args:
            latest: only the newest version of each name.
            expand: accepted; all that is known of a model is always there.
        """
        from airflow_aml.workspace import models

        refuse_while_loading("Model.list")
        warn_ignored("Model.list", others)
        found: List[Model] = []
        known_versions = list(models.versions(home_of(workspace), name))
        note_listing(name, known_versions)
        for each, number, known in known_versions:
            if latest and found and found[-1].name == each:
                continue
            if fits(known, tags, properties, run_id):
                found.append(Model._of(workspace, each, number, known))
        return found

    @staticmethod
    def get_model_path(
        model_name: str, version: Optional[int] = None, _workspace: Any = None, **_: Any
    ) -> str:
        """The local path of a model's file or folder.

        It is looked for below ``AZUREML_MODEL_DIR``, then in ``azureml-models`` of the working
        directory; a step's script gets it from its run's workspace.

        Raises:
            ModelNotFoundException: it is nowhere.
        """
        for folder in (os.environ.get("AZUREML_MODEL_DIR"), _CACHE):
            found = local_model(folder, model_name, version) if folder else None
            if found is not None:
                return found
        if _workspace is None:
            from airflow_aml.definition.runs.context import Run

            run = Run.get_context()
            if not isinstance(run, Run):
                raise ModelNotFoundException(
                    f"model {model_name!r} is not below {_CACHE!r} of {os.getcwd()}.",
                    hint="Outside a run, give _workspace=, or use Model(ws, name).download().",
                )
            _workspace = run.experiment.workspace
        model = Model(_workspace, model_name, version=version)
        folder = os.path.join(_CACHE, model_name, str(model.version))
        return model.download(folder, exist_ok=True)

    @property
    def id(self) -> str:
        """``name:version``."""
        return f"{self.name}:{self.version}"

    @property
    def tags(self) -> Dict[str, Any]:
        """The model's tags."""
        return dict(self._told.tags)

    @property
    def properties(self) -> Dict[str, Any]:
        """The model's properties, which do not change."""
        return dict(self._told.properties)

    @property
    def description(self) -> str:
        """What its author wrote about it."""
        return self._told.description

    @property
    def created_time(self) -> str:
        """When it was registered, UTC, ISO 8601."""
        return self._known.created

    @property
    def run_id(self) -> Optional[str]:
        """The run whose script registered it; None for any other program."""
        return self._known.origin.get("run")

    @property
    def run(self) -> Optional[Run]:
        """The run whose script registered it; None for any other program."""
        from airflow_aml.definition.runs.finding import find

        return find(self.workspace, self.run_id) if self.run_id else None

    @property
    def experiment_name(self) -> Optional[str]:
        """The experiment of that run."""
        run = self.run
        return run.experiment.name if run is not None else None

    @property
    def url(self) -> str:
        """Where its file or folder is, in the workspace."""
        return home_of(self.workspace).uri(f"{self._known.path}/{self._known.entry}")

    def download(
        self, target_dir: str = ".", exist_ok: bool = False, exists_ok: Optional[bool] = None
    ) -> str:
        """Copies the model into a folder and returns the path of its file or folder there.

        Raises:
            UserErrorException: there is something of its name, and ``exist_ok`` is not set; or
                there cannot be such a folder.
        """
        from airflow_aml.definition.runs.files import make_local_folder
        from airflow_aml.workspace import models

        refuse_while_loading("Model.download")
        target = os.path.join(target_dir, self._known.entry)
        if os.path.lexists(target) and not (exist_ok or exists_ok):
            raise UserErrorException(
                f"{target!r} exists already.",
                where=f"model {self.name!r}",
                hint="Download to another folder, or say exist_ok=True.",
            )
        make_local_folder(target_dir, f"model {self.name!r}")
        return models.download(home_of(self.workspace), self._known, target_dir)

    def delete(self) -> None:
        """Removes this version for good; its number is not used again.

        Raises:
            UserErrorException: it has been deleted already.
        """
        from airflow_aml.workspace import models

        refuse_while_loading("Model.delete")
        models.delete(home_of(self.workspace), self.name, self.version)

    def update(
        self,
        tags: Optional[Mapping[str, Any]] = None,
        description: Optional[str] = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Optional[ResourceConfiguration] = None,
    ) -> None:
        """Replaces what is given, and leaves the rest as it is.

        Raises:
            UserErrorException: the version has been deleted, or something is of another kind than
                it has to be.
        """
        given: Dict[str, Any] = {}
        if tags is not None:
            given["tags"] = dict(check_mapping("Model.update: tags=", tags))
        if description is not None:
            given["description"] = description
        details = {
            "sample_input_dataset": sample_input_dataset,
            "sample_output_dataset": sample_output_dataset,
            "resource_configuration": resource_configuration,
        }
        kept = details_of(details, dataset_id(self.workspace))
        self._change(lambda known: replace(known, **given, details={**known.details, **kept}))

    def add_tags(self, tags: Mapping[str, Any]) -> None:
        """Adds tags to those that are there."""
        check_mapping("Model.add_tags", tags)
        self._change(lambda known: replace(known, tags={**known.tags, **(tags or {})}))

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Takes tags away."""
        gone = [tags] if isinstance(tags, str) else tags
        self._change(
            lambda known: replace(
                known, tags={key: value for key, value in known.tags.items() if key not in gone}
            )
        )

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Adds properties; one that was set once stays as it is.

        Raises:
            UserErrorException: one of them has another value already, or it is no dict.
        """
        given = check_mapping("Model.add_properties", properties)

        def added(known: ModelVersion) -> ModelVersion:
            for key, value in given.items():
                if str(known.properties.get(key, value)) != str(value):
                    raise UserErrorException(
                        f"property {key!r} is {known.properties[key]!r} already; properties do "
                        "not change.",
                        where=f"model {self.id!r}",
                        hint="Use a tag for what changes.",
                    )
            return replace(known, properties={**given, **known.properties})

        self._change(added)

    def serialize(self) -> Dict[str, Any]:
        """What is known of it, for JSON."""
        known = self._told
        return {
            "id": self.id,
            "name": self.name,
            "version": self.version,
            "createdTime": known.created,
            "description": known.description,
            "tags": self.tags,
            "properties": self.properties,
            "runId": self.run_id,
        }

    def _change(self, change: Callable[[ModelVersion], ModelVersion]) -> None:
        from airflow_aml.workspace import models

        refuse_while_loading("a change of a model")
        self._known = models.update(home_of(self.workspace), self.name, self.version, change)
        if self._was_asked:  # then it is what it has made of it that has to stay
            note_known(self.name, self.version, self._known)

    @property
    def _told(self) -> ModelVersion:
        """What is said of it, which may change: that a script has asked is noted."""
        self._was_asked = True
        note_known(self.name, self.version, self._known)
        return self._known

    def __getattr__(self, name: str) -> Any:
        if name in _NOT_KEPT:
            return None
        raise AttributeError(f"'Model' object has no attribute {name!r}")

    def __repr__(self) -> str:
        return f"Model(name={self.name}, version={self.version}, tags={self._known.tags})"


_NOT_KEPT = ("created_by", "mime_type", "parent_id", "unpack")
"""What v1's service knows of a model, and nobody here."""


def _version_of(
    description: Optional[str],
    tags: Optional[Mapping[str, Any]],
    properties: Optional[Mapping[str, Any]],
    details: Dict[str, Any],
) -> ModelVersion:
    """What is said of a version that is to be registered; where its files are is not known yet."""
    from airflow_aml.workspace.datasets import now
    from airflow_aml.workspace.models import ModelVersion

    return ModelVersion(
        path="",
        entry="",
        is_folder=False,
        created="" if is_loading() else now(),
        description=description or "",
        tags=dict(check_mapping("Model.register: tags=", tags)),
        properties=dict(check_mapping("Model.register: properties=", properties)),
        origin=origin(),
        details=details,
    )


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not _NAME.match(name):
        raise UserErrorException(
            f"{name!r} cannot be a model's name: up to 255 letters, digits, underscores, dashes "
            "and periods, the first a letter or digit."
        )
