"""The data snippets of the documents that define the product, as written but for imports.

Each is run twice: as a program, where it acts, and as a file that is only being loaded, where the
first task of a run does what it declared.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import airflow_aml
from airflow_aml import Dataset, Pipeline
from airflow_aml.definition.applying import apply_setup
from airflow_aml.definition.declarations import Declarations
from airflow_aml.definition.engine import using
from airflow_aml.definition.registered import save_definitions

SETUP = """
ws = Workspace.from_config()
# Default datastore
def_data_store = ws.get_default_datastore()

# Get the blob storage associated with the workspace
def_blob_store = Datastore(ws, "workspaceblobstore")

# Get file storage associated with the workspace
def_file_store = Datastore(ws, "workspacefilestore")
datastore = def_data_store
compute_target = "STANDARD_NC6"
project_folder = "src"
"""

SEED_001 = """
blob_store = Datastore(ws, "workspaceblobstore")
input_data = Dataset.File.from_files(
    DataPath(datastore, '20newsgroups/20news.pkl'))

output_data = PipelineData("output_data", datastore=blob_store)

input_named = input_data.as_named_input('input')

steps = [ PythonScriptStep(
    script_name="train.py",
    arguments=["--input", input_named.as_download(), "--output", output_data],
    inputs=[input_data],
    outputs=[output_data],
    compute_target=compute_target,
    source_directory=project_folder
) ]
"""

SEED_002 = """
my_dataset = Dataset.File.from_files([(def_blob_store, 'train-images/')])
output_data1 = OutputFileDatasetConfig(destination = (datastore, 'outputdataset/{run-id}'))
output_data_dataset = output_data1.register_on_complete(name = 'prepared_output_data')
ds_input = my_dataset.as_named_input('input1')

data_prep_step = PythonScriptStep(
    script_name="train.py",
    source_directory=project_folder,
    arguments=["--input", ds_input.as_download(), "--output", output_data1],
    compute_target=compute_target,
    allow_reuse=True
)
training_results = OutputFileDatasetConfig(name = "training_results",
    destination = def_blob_store)

train_step = PythonScriptStep(
    script_name="train.py",
    source_directory=project_folder,
    arguments=["--prepped_data", output_data1.as_input(), "--training_results", training_results],
    compute_target=compute_target,
    allow_reuse=True
)
compare_models = [data_prep_step, train_step]
steps = [compare_models]
"""

SEED_003 = """
def_blob_store.upload_files(
    ["iris.csv"],
    target_path="train-dataset",
    overwrite=True)

iris_tabular_dataset = Dataset.Tabular.from_delimited_files(
    [(def_blob_store, 'train-dataset/iris.csv')])

output_data1 = PipelineData(
    "output_data1",
    datastore=def_blob_store,
    output_name="output_data1")
my_dataset = Dataset.File.from_files((def_blob_store, 'train-dataset'))
ds_input = my_dataset.as_named_input('input1')

trainStep = PythonScriptStep(
    script_name="train.py",
    arguments=["--input", ds_input.as_download(), "--output", output_data1],
    inputs=[ds_input],
    outputs=[output_data1],
    compute_target=compute_target,
    source_directory=project_folder,
    allow_reuse=True
)
dataset_consuming_step = PythonScriptStep(
    script_name="train.py",
    inputs=[iris_tabular_dataset.as_named_input("iris_data")],
    compute_target=compute_target,
    source_directory=project_folder
)
steps = [trainStep, dataset_consuming_step]
"""


def run_snippet(text: str, project: Path) -> dict[str, object]:
    """The names that a snippet leaves; it sees our names as v1's."""
    names = {name: getattr(airflow_aml, name) for name in airflow_aml.__all__}
    exec(compile(SETUP + text, str(project / "pipeline.py"), "exec"), names)
    return names


@pytest.fixture
def seed(ws, project, put):
    """The project and data that the snippets speak of."""
    (project / "src").mkdir()
    (project / "src" / "train.py").write_text("")
    (project / "iris.csv").write_text("sepal,kind\n5.1,setosa\n4.9,setosa\n")
    put("20newsgroups/20news.pkl")
    put("train-images/1.png")
    return project


@pytest.mark.parametrize("text", [SEED_001, SEED_002, SEED_003], ids=["001", "002", "003"])
def test_a_snippet_acts_as_a_program(seed, workspace, text):
    """Its pipeline is built, and every dataset that its steps read is there."""
    names = run_snippet(text, seed)
    spec = Pipeline(names["ws"], names["steps"]).spec

    pinned = save_definitions(spec, workspace, str(seed))

    assert pinned
    for inputs in pinned.values():
        for each in inputs.values():
            dataset = Dataset.get_by_id(names["ws"], each.id)
            assert len(dataset.to_pandas_dataframe() if dataset.is_tabular else dataset.to_path())


@pytest.mark.parametrize("text", [SEED_001, SEED_002, SEED_003], ids=["001", "002", "003"])
def test_a_snippet_only_declares_while_it_is_loaded(seed, workspace, text):
    """Both ways give the same spec; what it uploads, a run uploads."""
    declarations = Declarations(str(seed / "pipeline.py"), str(seed))
    with using(declarations):
        names = run_snippet(text, seed)
        declared = Pipeline(names["ws"], names["steps"]).spec
    uploaded = workspace.root / "datastores" / "workspaceblobstore" / "train-dataset"
    assert not uploaded.exists()

    apply_setup(declarations.setup, str(seed), workspace)
    save_definitions(declared, workspace, str(seed))

    assert uploaded.exists() == (text is SEED_003)
    names = run_snippet(text, seed)
    assert Pipeline(names["ws"], names["steps"]).spec == declared


def test_seed_003_reads_its_table_in_the_script(seed, workspace, monkeypatch):
    """Run.get_context().input_datasets['iris_data'].to_pandas_dataframe(), as the guide says."""
    names = run_snippet(SEED_003, seed)
    spec = Pipeline(names["ws"], names["steps"]).spec
    pinned = save_definitions(spec, workspace, str(seed))
    node = next(node for node in spec.nodes if node.inputs[0].name == "iris_data")
    monkeypatch.setenv("AZUREML_RUN_ID", "r")
    monkeypatch.setenv("AZUREML_ARM_PROJECT_NAME", "Compare_Models_Exp")
    monkeypatch.setenv("AZUREML_DATASET_ENVIRONMENT_VARS", "iris_data:direct")
    monkeypatch.setenv("AZURE_ML_INPUT_iris_data", pinned[node.id]["iris_data"].id)

    script = {name: getattr(airflow_aml, name) for name in airflow_aml.__all__}
    exec(
        "run_context = Run.get_context()\n"
        "iris_dataset = run_context.input_datasets['iris_data']\n"
        "dataframe = iris_dataset.to_pandas_dataframe()\n",
        script,
    )

    assert script["dataframe"]["sepal"].tolist() == [5.1, 4.9]
