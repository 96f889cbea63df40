"""What a model is registered with besides its files (reference 1.1): it is kept, and told again."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

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


def details_of(workspace: Any, given: Mapping[str, Any]) -> Dict[str, Any]:
    """What is kept of what was given to ``register``, of which nothing need be.

    Raises:
        UserErrorException: it is no dataset, or no ResourceConfiguration.
    """
    kept = {name: given[name] for name in ("framework", "framework_version") if given.get(name)}
    for name in ("sample_input_dataset", "sample_output_dataset"):
        if given.get(name) is not None:
            kept[name] = _kept_dataset(workspace, given[name], f"{name}=")
    used = [
        [str(purpose), _kept_dataset(workspace, each, "datasets=")]
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


def _kept_dataset(workspace: Any, dataset: Any, where: str) -> str:
    """The id of a dataset, of which the workspace keeps what it means, registered or not."""
    from airflow_aml.codec import encode
    from airflow_aml.definition.abstract import AbstractDataset
    from airflow_aml.definition.dataset import Dataset
    from airflow_aml.workspace.datasets import save_definition

    if isinstance(dataset, str):
        Dataset.get_by_id(workspace, dataset)  # the error where there is none
        return dataset
    if not isinstance(dataset, AbstractDataset):
        raise UserErrorException(f"{where} takes a dataset, not a {type(dataset).__name__}.")
    save_definition(home_of(workspace), dataset.id, encode(dataset._anchored()))  # noqa: SLF001
    return dataset.id
