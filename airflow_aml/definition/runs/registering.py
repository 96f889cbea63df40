"""``run.register_model``: a file of a run becomes a model (reference 1.1)."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any, List, Mapping, Optional

from airflow_aml.definition.runs import process
from airflow_aml.definition.runs.recorded import Recorded
from airflow_aml.errors import UserErrorException
from airflow_aml.runtime import hidden

if TYPE_CHECKING:
    from airflow_aml.definition.experiment import Experiment
    from airflow_aml.definition.model import Model
    from airflow_aml.definition.modeldetails import ResourceConfiguration


class Registering(Recorded):
    """The call that registers models."""

    if TYPE_CHECKING:

        @property
        def experiment(self) -> Experiment:
            """The run's."""

    def register_model(
        self,
        model_name: str,
        model_path: Optional[str] = None,
        tags: Optional[Mapping[str, Any]] = None,
        properties: Optional[Mapping[str, Any]] = None,
        model_framework: Optional[str] = None,
        model_framework_version: Optional[str] = None,
        description: Optional[str] = None,
        datasets: Any = None,
        sample_input_dataset: Any = None,
        sample_output_dataset: Any = None,
        resource_configuration: Optional[ResourceConfiguration] = None,
        **others: Any,
    ) -> Model:
        """Registers a file or folder of this run's files as the next version of a model.

        Args:
            model_path: its name among the run's files (``outputs/model.pkl``); the model's name
                when it is not given.

        Raises:
            UserErrorException: the run has no such file; the text lists the files that it has.
        """
        from tempfile import TemporaryDirectory

        from airflow_aml.definition.model import Model

        name = (model_path or model_name).replace("\\", "/").strip("/")
        with TemporaryDirectory() as folder:
            return Model.register(
                self.experiment.workspace,
                self._fetch_tree(name, folder, f"model {model_name!r}"),
                model_name,
                tags=tags,
                properties=properties,
                description=description,
                datasets=datasets,
                model_framework=model_framework,
                model_framework_version=model_framework_version,
                sample_input_dataset=sample_input_dataset,
                sample_output_dataset=sample_output_dataset,
                resource_configuration=resource_configuration,
                **others,
            )

    def _fetch_tree(self, name: str, folder: str, where: str) -> str:
        """Copies a file of the run, or all files below a name, and returns the local path."""
        names = self._names_for(name)
        wanted = [each for each in names if each == name or each.startswith(f"{name}/")]
        if not wanted:
            shown = ", ".join(map(repr, names[:10])) or "none"
            raise UserErrorException(
                f"the run has no file {name!r}; its files: {shown}.",
                where=where,
                hint="Write it to ./outputs, or give it to run.upload_file, before.",
            )
        base = name.rpartition("/")[0]
        for each in wanted:
            target = os.path.join(folder, *each[len(base) :].strip("/").split("/"))
            os.makedirs(os.path.dirname(target), exist_ok=True)
            self._fetch(each, target)
        return os.path.join(folder, name.rpartition("/")[2])

    def _names_for(self, name: str) -> List[str]:
        """Names of files, that one or those below it among them if the run has them."""
        return self._names()


def note_registered(name: str, version: int, identity: str) -> None:
    """Notes what the script registered: in its run's record, and for whoever reuses its result."""
    hidden.note_registered("model", name, version, identity)
    if os.environ.get(process.RUN):
        from airflow_aml.definition.runs.records import ScriptRecord

        with suppress(OSError):
            ScriptRecord(process.record_folder()).note({"model": name, "value": version})
