"""A script outside any run."""

from __future__ import annotations

import sys
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence


class _OfflineRun:
    """A script outside any run: logging prints, and there is no workspace (as in v1)."""

    def __init__(self) -> None:
        from uuid import uuid4

        self.id = f"OfflineRun_{uuid4()}"

    @property
    def name(self) -> str:
        """The same as :attr:`id`."""
        return self.id

    @property
    def _run_id(self) -> str:
        """v1's private name of :attr:`id`, which scripts use."""
        return self.id

    def log(self, name: str, value: Any, description: str = "", step: Optional[int] = None) -> None:
        """Prints what would be logged."""
        sys.stdout.write(f"Attempted to log scalar metric {name}:\n{value}\n")

    def log_list(self, name: str, value: Any, description: str = "") -> None:
        """Prints what would be logged."""
        sys.stdout.write(f"Attempted to log list metric {name}:\n{value}\n")

    def log_row(self, name: str, description: Optional[str] = None, **values: Any) -> None:
        """Prints what would be logged."""
        sys.stdout.write(f"Attempted to log row metric {name}:\n{values}\n")

    def log_table(self, name: str, value: Any, description: str = "") -> None:
        """Prints what would be logged."""
        sys.stdout.write(f"Attempted to log table metric {name}:\n{value}\n")

    def log_image(
        self, name: str, path: Optional[str] = None, plot: Any = None, description: str = ""
    ) -> None:
        """Prints what would be logged."""
        sys.stdout.write(f"Attempted to log image metric {name}\n")

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: Any = None) -> None:
        """Prints what would be kept."""
        sys.stdout.write(f"Attempted to track file {name} at {path_or_stream}\n")

    def upload_folder(self, name: str, path: str, datastore_name: Any = None) -> None:
        """Prints what would be kept."""
        sys.stdout.write(f"Attempted to track folder {name} at {path}\n")

    def log_confusion_matrix(self, name: str, value: Any, description: str = "") -> None:
        """Prints what would be logged."""
        sys.stdout.write(f"Attempted to log confusion matrix metric {name}:\n{value}\n")

    def log_accuracy_table(self, name: str, value: Any, description: str = "") -> None:
        """Prints what would be logged."""
        sys.stdout.write(f"Attempted to log accuracy table metric {name}:\n{value}\n")

    def log_residuals(self, name: str, value: Any, description: str = "") -> None:
        """Prints what would be logged."""
        sys.stdout.write(f"Attempted to log residuals metric {name}:\n{value}\n")

    def log_predictions(self, name: str, value: Any, description: str = "") -> None:
        """Prints what would be logged."""
        sys.stdout.write(f"Attempted to log predictions metric {name}:\n{value}\n")

    def get_secret(self, name: str) -> str:
        """The value of a secret: of Airflow, or of ``AIRFLOW_VAR_AML_SECRET_<NAME>``."""
        from airflow_aml.definition.keyvault import secret

        return secret(name)

    def get_secrets(self, secrets: Sequence[str]) -> Dict[str, str]:
        """The values of several secrets by name."""
        return {name: self.get_secret(name) for name in secrets}

    def get_metrics(self, *_: Any, **__: Any) -> Dict[str, Any]:
        """Nothing."""
        return {}

    def get_tags(self) -> Dict[str, Any]:
        """Nothing."""
        return {}

    def get_properties(self) -> Dict[str, Any]:
        """Nothing."""
        return {}

    def get_file_names(self) -> List[str]:
        """Nothing."""
        return []

    def get_children(self, *_: Any, **__: Any) -> Iterator[Any]:
        """Nothing."""
        return iter(())

    def child_run(self, *_: Any, **__: Any) -> _OfflineRun:
        """Another one of these."""
        return _OfflineRun()

    def upload_files(self, names: Sequence[str], paths: Sequence[str], *_: Any, **__: Any) -> None:
        """Prints what would be kept."""
        for name, path in zip(names, paths):
            self.upload_file(name, path)

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Does nothing."""

    def fail(self, error_details: Any = None, error_code: Any = None, **_: Any) -> None:
        """Does nothing."""

    def cancel(self) -> None:
        """Does nothing."""

    def __enter__(self) -> _OfflineRun:
        return self

    def __exit__(self, *_: Any) -> None:
        """Does nothing."""

    def tag(self, key: str, value: Any = None) -> None:
        """Does nothing."""

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Does nothing."""

    def flush(self, timeout_seconds: int = 300) -> None:
        """Does nothing."""

    def complete(self, _set_status: bool = True) -> None:
        """Does nothing."""

    def get_status(self) -> str:
        """``Running``."""
        return "Running"
