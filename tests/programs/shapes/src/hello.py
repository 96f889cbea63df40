import sys

from azureml.core import Run

print("hello", *sys.argv[1:])
Run.get_context().log("said", 1)
