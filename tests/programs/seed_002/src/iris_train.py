from azureml.core import Run, Dataset

run_context = Run.get_context()
iris_dataset = run_context.input_datasets['iris_data']
dataframe = iris_dataset.to_pandas_dataframe()

# Within a PythonScriptStep

ws = Run.get_context().experiment.workspace

print("irises:", sorted(dataframe["kind"]), "in workspace", ws.name)
