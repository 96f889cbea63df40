"""SDK v1's own module names: what programs import is there, and says so where it is not served."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import airflow_aml
import airflow_aml.azureml_compat
from airflow_aml import errors
from airflow_aml.azureml_compat.names import HOMES, MODULES, all_names, names_of
from airflow_aml.azureml_compat.serving import SERVED, entry
from airflow_aml.definition.programs import is_program
from airflow_aml.errors import NotServedError
from tests.data.test_script_interpreters import INTERPRETERS
from tests.runtime.laboratory import Lab

REAL_IMPORTS = """
import azureml
import azureml.core
from azureml.core import (Workspace, Experiment, Dataset, Datastore, Environment, Run, Model,
    ScriptRunConfig, RunConfiguration, ComputeTarget, Webservice, LinkedService, VERSION)
from azureml.core.authentication import InteractiveLoginAuthentication, MsiAuthentication
from azureml.core.authentication import ServicePrincipalAuthentication, AzureCliAuthentication
from azureml.core.compute import AmlCompute, ComputeTarget, DataFactoryCompute, DatabricksCompute
from azureml.core.compute.amlcompute import AmlCompute
from azureml.core.compute_target import ComputeTargetException
from azureml.core.conda_dependencies import CondaDependencies
from azureml.core.dataset import Dataset
from azureml.core.datastore import Datastore
from azureml.core.environment import Environment, CondaDependencies, DEFAULT_CPU_IMAGE
from azureml.core.experiment import Experiment
from azureml.core.model import Model, InferenceConfig, Dataset
from azureml.core.run import Run, _OfflineRun, get_run
from azureml.core.runconfig import RunConfiguration, CondaDependencies, DEFAULT_GPU_IMAGE
from azureml.core.runconfig import JarLibrary, DockerConfiguration, MpiConfiguration
from azureml.core.webservice import AciWebservice, AksWebservice, Webservice
from azureml.core.workspace import Workspace
from azureml.data import OutputFileDatasetConfig, HDFSOutputDatasetConfig, DataType
from azureml.data.data_reference import DataReference
from azureml.data.datapath import DataPath, DataPathComputeBinding
from azureml.data.dataset_consumption_config import DatasetConsumptionConfig
from azureml.data.dataset_factory import TabularDatasetFactory, DataType
from azureml.data.output_dataset_config import OutputDatasetConfig, OutputTabularDatasetConfig
from azureml.data.sql_data_reference import SqlDataReference
from azureml.exceptions import ComputeTargetException, WebserviceException, AzureMLException
from azureml.exceptions import ProjectSystemException, AuthenticationException, WorkspaceException
from azureml.contrib.automl.pipeline.steps import AutoMLPipelineBuilder
from azureml.contrib.services.aml_response import AMLResponse
from azureml.automl.core.forecasting_parameters import ForecastingParameters
from azureml.automl.core.shared import constants, log_server
from azureml.automl.core.shared.exceptions import AutoMLException, ClientException
from azureml.opendatasets import OjSalesSimulated
from azureml.datadrift import DataDriftDetector
from azureml._restclient.models.create_run_dto import CreateRunDto
from azureml.pipeline.core import *
from azureml.pipeline.core import Pipeline, PipelineData, PipelineParameter, StepSequence
from azureml.pipeline.core import PublishedPipeline, PipelineEndpoint, TrainingOutput, Schedule
from azureml.pipeline.core._restclients.aeva.models.error_response import ErrorResponseException
from azureml.pipeline.core.graph import PipelineParameter, InputPortDef
from azureml.pipeline.core.run import PipelineRun
from azureml.pipeline.core.schedule import Schedule, ScheduleRecurrence
from azureml.pipeline.steps import PythonScriptStep, ParallelRunStep, DatabricksStep, AdlaStep
from azureml.train.automl import AutoMLConfig
from azureml.train.automl._azureautomlsettings import AzureAutoMLSettings
from azureml.train.automl.runtime._many_models.many_models_parameters import *
from azureml.train.dnn import PyTorch
from azureml.train.estimator import Estimator
from azureml.train.hyperdrive import *
from azureml.train.hyperdrive import HyperDriveConfig, choice, PrimaryMetricGoal
from azureml.train.sklearn import SKLearn
from azureml.widgets import RunDetails
"""


def python(program: str, *, executable: str = sys.executable, **options) -> str:
    """stdout of a program in a Python of its own."""
    text = textwrap.dedent(program)
    words = [executable, "-c", text]
    return subprocess.run(
        words, capture_output=True, text=True, check=True, timeout=60, **options
    ).stdout


def test_what_real_programs_import_can_be_imported():
    """Every import that 1 % of real programs have works, served or not."""
    exec(REAL_IMPORTS, {})


def test_a_name_is_the_same_object_by_every_path():
    """`isinstance` and `except` do not mind which of v1's modules a name was imported from."""
    from azureml.core import Run, Workspace
    from azureml.core.compute_target import ComputeTargetException as FromTarget
    from azureml.core.environment import CondaDependencies as FromEnvironment
    from azureml.core.run import Run as FromRun
    from azureml.core.runconfig import CondaDependencies as FromRunConfig
    from azureml.exceptions import ComputeTargetException

    assert Run is FromRun is airflow_aml.Run
    assert FromEnvironment is FromRunConfig is airflow_aml.CondaDependencies
    assert FromTarget is ComputeTargetException is errors.ComputeTargetException
    assert Workspace is airflow_aml.Workspace


def test_a_name_that_is_not_served_says_so_when_it_is_used():
    """Importing is free; calling, subclassing and attributes raise an error with the name."""
    from azureml.core import Webservice
    from azureml.opendatasets import NycTlcGreen
    from azureml.pipeline.steps import AdlaStep

    with pytest.raises(NotServedError, match=r"azureml\.core\.Webservice is not served: models"):
        Webservice(None, "scorer")
    with pytest.raises(NotServedError, match=r"AdlaStep is not served: .* retired. Use a Python"):
        AdlaStep("u.sql")
    with pytest.raises(NotServedError, match=r"NycTlcGreen\.get_file_dataset.*compatibility\.md"):
        NycTlcGreen.get_file_dataset()
    with pytest.raises(NotServedError, match="Webservice"):
        type("Mine", (Webservice,), {})
    assert not isinstance("text", Webservice)


def test_a_misspelt_name_is_an_import_error():
    """What v1 never had is told from what is not served."""
    with pytest.raises(ImportError, match="Workspac"):
        exec("from azureml.core import Workspac")
    with pytest.raises(ModuleNotFoundError, match=r"azureml\.cor"):
        exec("import azureml.cor")


def test_every_name_of_ours_is_in_the_table():
    """What the public face serves has a place among v1's modules, or is ours alone."""
    ours_alone = {
        "OnNewVersion",
        "PipelineSpec",
        "PythonScriptStepOperator",
        "ReusePolicy",
        "__version__",
    }
    assert set(dir(airflow_aml)) - set(all_names()) <= ours_alone


def test_served_names_can_be_had_and_homes_are_needed():
    """Each served name is an object; no home repeats what is found without it."""
    for module in MODULES:
        for name in names_of(module):
            found = entry(module, name)
            assert found is not None
            if found.status == SERVED:
                assert getattr(sys.modules.get(module) or __import__(module, fromlist=["x"]), name)
    assert not set(HOMES) & set(dir(airflow_aml))


def test_an_installed_azureml_wins(tmp_path: Path):
    """The finder stands last: a real SDK on the path is what is imported."""
    (tmp_path / "azureml" / "core").mkdir(parents=True)
    (tmp_path / "azureml" / "core" / "__init__.py").write_text("VERSION = 'real'\n")
    program = """
        import airflow_aml.azureml_compat
        import azureml.core
        print(azureml.core.VERSION)
        try:
            import azureml.pipeline.core
        except ModuleNotFoundError as error:
            print(error.name)
    """
    assert python(program, cwd=tmp_path).split() == ["real", "azureml.pipeline"]


def test_importing_airflow_aml_alone_changes_nothing():
    """Who does not opt in has no azureml, and pays nothing for it."""
    program = """
        import sys, airflow_aml
        from airflow_aml import Pipeline, Workspace
        print([name for name in sys.modules if "compat" in name], len(sys.meta_path))
        try:
            import azureml
        except ModuleNotFoundError:
            print("none")
    """
    assert python(program).splitlines()[0].startswith("[]")
    assert python(program).splitlines()[1] == "none"


SCRIPT = """
import sys
before = [name for name in sys.modules if name.startswith(("airflow_aml", "azureml"))]
from azureml.core import Run, Workspace
from azureml.core.run import _OfflineRun
run = Run.get_context()
run.log("auc", 0.9)
print(before, run.id, isinstance(run, _OfflineRun), run.experiment.workspace.name)
"""


def test_a_steps_script_imports_v1(lab: Lab):
    """A script's `from azureml.core import Run` is its run; nothing was loaded before it asked."""
    report = lab.run(lab.job(SCRIPT, run_id="step-1", workspace_url=lab.home.url))

    assert report.outcome == "finished", lab.lines
    assert lab.lines == ["[] step-1 False default"]


def test_a_steps_script_prefers_a_real_sdk(lab: Lab):
    """Where the source folder brings an azureml of its own, that one is used."""
    files = {"azureml/__init__.py": "", "azureml/core.py": "Run = 'theirs'\n"}
    job = lab.job("from azureml.core import Run\nprint(Run)\n", files=files)

    assert lab.run(job).outcome == "finished", lab.lines
    assert lab.lines == ["theirs"]


@pytest.mark.parametrize("version", sorted(INTERPRETERS, key=lambda v: int(v.partition(".")[2])))
def test_a_bare_interpreter_imports_v1(version: str):
    """Any Python from 3.8 on has v1's names by the path of steps, without a package installed."""
    from airflow_aml.runtime.environment import V1_NAMES

    program = """
        import azureml.core
        from azureml.core import Run, Dataset
        from azureml.pipeline.steps import PythonScriptStep, KustoStep
        import sys
        print(Run.get_context().id[:7], "airflow_aml.airflow" in sys.modules)
    """
    env = {"PYTHONPATH": V1_NAMES, "PATH": "/usr/bin:/bin"}
    assert python(program, executable=INTERPRETERS[version], env=env).split() == [
        "Offline",
        "False",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from azureml.pipeline.core import Pipeline\nPipeline(None, [])\n", True),
        ("from azureml.pipeline import core\ncore.Pipeline.load_yaml(ws, 'p.yml')\n", True),
        ("from azureml.core import Experiment\nExperiment(ws, 'e').submit(build())\n", True),
        ("from azureml.pipeline.core import Pipeline\nthis is no Python\n", True),
        ("from azureml.core import Run\nRun.get_context().submit_child(c)\n", False),
        ("from azureml.core import Run, Experiment\nExperiment(ws, 'e')\nx.submit(y)\n"
         "Run.get_context()\n", False),
        ("from airflow_aml import Pipeline\nimport azureml\nPipeline(None, [])\n", False),
        ("from sklearn.pipeline import Pipeline\nPipeline([])\n", False),
        ("# azureml Pipeline\nprint('nothing')\n", False),
    ],
)  # fmt: skip
def test_programs_are_told_from_scripts_and_native_files(text: str, expected: bool):
    """What a bundle executes is known by a file's text; scripts of steps never are."""
    assert is_program(text.encode()) is expected
