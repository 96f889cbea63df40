"""The names that 1 % of all programs for SDK v1 use, or more: what becomes of each.

``names_in_use.txt`` lists them, with how many of 123 public programs use each.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import airflow_aml.azureml_compat
from airflow_aml import errors
from airflow_aml.azureml_compat.members import class_entry
from airflow_aml.azureml_compat.serving import NOT_YET, REFUSED_FOR_GOOD, SERVED, entry, value_of
from airflow_aml.azureml_compat.standin import _Unserved

LIST = Path(__file__).with_name("names_in_use.txt")

LATER = {
    "BanditPolicy",
    "CommandStep",
    "DataTransferStep",
    "DatabricksStep",
    "Estimator",
    "EstimatorStep",
    "GridParameterSampling",
    "HyperDriveConfig",
    "HyperDriveRun",
    "HyperDriveStep",
    "HyperDriveStepRun",
    "JarLibrary",
    "MpiStep",
    "ParallelRunConfig",
    "ParallelRunStep",
    "PrimaryMetricGoal",
    "PyTorch",
    "RandomParameterSampling",
    "SqlDataReference",
    "SynapseSparkStep",
    "choice",
}
"""Imported by programs and not served yet: steps other than PythonScriptStep, and what they take.
One that begins to be served may be taken from here."""

ALSO = {
    "Dataset": ["FileDataset", "TabularDataset"],
    "Pipeline": ["PipelineRun", "PublishedPipeline"],
    "Run": ["PipelineRun", "StepRun"],
    "ComputeTarget": ["AmlCompute"],
}
"""What a variable that the counting took for the one class may be as well."""

MISSING = {
    "ComputeTarget.cluster_resource_id",  # of AKS
    "Run._client",
    "Run._load_scope",
    "Workspace.retrieve_workspace",  # of a class of the program's own
}
"""Members that a served class does not have."""


def in_use(*kinds: str) -> Iterator[str]:
    """The names of these kinds."""
    for line in LIST.read_text().splitlines():
        kind, name, _ = line.split(maxsplit=2)
        if kind in kinds:
            yield name


def test_what_programs_import_is_served_or_says_why_not():
    """Each name can be imported; it is ours, or refused for good with what to do instead, or is
    among those that are known to come later."""
    later = set()
    for whole in in_use("import"):
        module, _, name = whole.rpartition(".")
        found = entry(module, name)
        assert found is not None, whole
        value = value_of(found)
        if found.status == SERVED:
            assert not isinstance(value, _Unserved), whole
        elif found.status == REFUSED_FOR_GOOD:
            assert found.note, whole
            assert found.instead, whole
        if found.status == NOT_YET:
            later.add(name)
        if found.status != SERVED and inspect.isclass(value) and not issubclass(value, Exception):
            with pytest.raises(errors.NotServedError, match=rf"{module}\.{name}.* is not served"):
                value()
    assert later <= LATER


def test_what_programs_do_with_what_is_served_is_there():
    """Methods and attributes of classes that are served are there, or refused by their name."""
    missing = set()
    for whole in in_use("method", "attribute"):
        if "(" in whole:
            continue
        class_name, _, name = whole.partition(".")
        if class_name == "azureml":
            continue
        classes = [served(each) for each in [class_name, *ALSO.get(class_name, [])]]
        if classes[0] is not None and not any(has(each, name) for each in classes if each):
            missing.add(whole)
    assert missing <= MISSING


def served(name: str) -> Any:
    """Our class of that name, if we have one."""
    found = class_entry(name)
    return value_of(found) if found and found.status == SERVED else None


def has(value: Any, name: str) -> bool:
    """Whether a class or its instances have something of that name, if only to refuse it."""
    first, _, rest = name.partition(".")
    if rest:
        return has(getattr(value, first), rest)
    if hasattr(value, name):
        return True
    ours = [each for each in inspect.getmro(value) if each.__module__.startswith("airflow_aml.")]
    modules = {inspect.getmodule(each) for each in ours}
    lists = ("_LATER", "_NEVER", "_NOT_SERVED", "_PRIVATE", "_SETTINGS", "_SECRETS")
    return any(f"self.{name}" in inspect.getsource(each) for each in ours) or any(
        name in getattr(module, each, ()) for module in modules for each in lists
    )


def test_the_list_has_what_matters():
    """The counting is there as a whole: hundreds of names, the commonest among them."""
    names = list(in_use("import", "class", "method", "attribute"))
    assert len(names) > 400
    assert {"azureml.pipeline.core.Pipeline", "Experiment.submit", "Workspace.name"} <= set(names)
    assert airflow_aml.azureml_compat.__doc__
