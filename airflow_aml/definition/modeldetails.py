"""What a model is registered with besides its files (reference 1.1): it is kept, and told again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional

from airflow_aml.definition.homes import home_of
from airflow_aml.errors import UserErrorException

if TYPE_CHECKING:
    from airflow_aml.workspace.models import ModelVersion

__all__ = ["ResourceConfiguration"]


@dataclass(frozen=True)
class ResourceConfiguration:
    """What a model is meant to be served with; nothing here goes by it.

    Attributes:
        cpu: cores, also parts of one.
        gpu: how many.
    """

    cpu: Optional[float] = None
    memory_in_gb: Optional[float] = None
    gpu: Optional[int] = None


class Detailed:
    """A model's attributes that are what its ``register`` was given; None where it was not."""

    if TYPE_CHECKING:
        workspace: Any

        @property
        def _told(self) -> ModelVersion: ...

    class Framework:
        """v1's words for ``model_framework``."""

        CUSTOM = "Custom"
        TENSORFLOW = "TensorFlow"
        SCIKITLEARN = "ScikitLearn"
        ONNX = "Onnx"
        MULTI = "Multi"

    @property
    def datasets(self) -> Dict[str, List[Any]]:
        """The datasets that it was registered with, by their purpose (``training``...)."""
        found: Dict[str, List[Any]] = {}
        for purpose, identity in self._told.details.get("datasets", ()):
            found.setdefault(purpose, []).append(self._dataset(identity))
        return found

    @property
    def model_framework(self) -> Optional[str]:
        """As it was given."""
        return self._told.details.get("framework")

    @property
    def model_framework_version(self) -> Optional[str]:
        """As it was given."""
        return self._told.details.get("framework_version")

    @property
    def sample_input_dataset(self) -> Any:
        """The dataset that was given."""
        return self._dataset(self._told.details.get("sample_input_dataset"))

    @property
    def sample_output_dataset(self) -> Any:
        """The dataset that was given."""
        return self._dataset(self._told.details.get("sample_output_dataset"))

    @property
    def resource_configuration(self) -> Optional[ResourceConfiguration]:
        """As it was given."""
        kept = self._told.details.get("resource_configuration")
        return ResourceConfiguration(**kept) if kept is not None else None

    def _dataset(self, identity: Optional[str]) -> Any:
        from airflow_aml.definition.dataset import Dataset

        return None if identity is None else Dataset.get_by_id(self.workspace, identity)


Keep = Callable[[Any], Any]
"""What is kept of a dataset that a model is registered with."""


def details_of(given: Mapping[str, Any], keep: Keep) -> Dict[str, Any]:
    """What is kept of what was given to ``register``, of which nothing need be.

    Args:
        keep: gets datasets, and what was given for their ids.

    Raises:
        UserErrorException: it is no dataset, or no ResourceConfiguration.
    """
    kept = {name: given[name] for name in ("framework", "framework_version") if given.get(name)}
    for name in ("sample_input_dataset", "sample_output_dataset"):
        if given.get(name) is not None:
            kept[name] = keep(_dataset(given[name], f"{name}="))
    used = [
        [str(purpose), keep(_dataset(each, "datasets="))]
        for purpose, each in given.get("datasets") or ()
    ]
    if used:
        kept["datasets"] = used
    resources = given.get("resource_configuration")
    if resources is not None:
        if not isinstance(resources, ResourceConfiguration):
            raise UserErrorException(
                "resource_configuration= is a ResourceConfiguration, not a "
                f"{type(resources).__name__}."
            )
        kept["resource_configuration"] = asdict(resources)
    return kept


def kept_datasets(details: Mapping[str, Any], keep: Keep) -> Dict[str, Any]:
    """The same details, what is kept of each dataset replaced."""
    kept = dict(details)
    for name in ("sample_input_dataset", "sample_output_dataset"):
        if name in kept:
            kept[name] = keep(kept[name])
    if "datasets" in kept:
        kept["datasets"] = [[purpose, keep(each)] for purpose, each in kept["datasets"]]
    return kept


def dataset_id(workspace: Any) -> Keep:
    """Keeps a dataset's id, and in the workspace what the dataset means, registered or not."""
    from airflow_aml.codec import encode
    from airflow_aml.definition.dataset import Dataset
    from airflow_aml.workspace.datasets import save_definition

    def keep(dataset: Any) -> str:
        if isinstance(dataset, str):
            Dataset.get_by_id(workspace, dataset)  # the error where there is none
            return dataset
        save_definition(home_of(workspace), dataset.id, encode(dataset._anchored()))  # noqa: SLF001
        identity: str = dataset.id
        return identity

    return keep


def dataset_source(dataset: Any) -> Any:
    """Keeps what a dataset means, as a document; of an id the id."""
    from airflow_aml.codec import encode

    return dataset if isinstance(dataset, str) else encode(dataset.source)


def _dataset(dataset: Any, where: str) -> Any:
    from airflow_aml.definition.abstract import AbstractDataset

    if not isinstance(dataset, (str, AbstractDataset)):
        raise UserErrorException(f"{where} takes a dataset, not a {type(dataset).__name__}.")
    return dataset
