"""Tells which files there are at a path of the default datastore, and how large they are."""

from __future__ import annotations

import argparse
import os

from airflow_aml import Dataset, Run

parser = argparse.ArgumentParser()
parser.add_argument("--path", required=True)
arguments = parser.parse_args()

run = Run.get_context()
store = run.experiment.workspace.get_default_datastore()
files = Dataset.File.from_files((store, arguments.path)).download("files")

for file in files:
    print(f"{os.path.basename(file)}: {os.path.getsize(file)} bytes")
print(f"{len(files)} files at {arguments.path}")
run.log("files", len(files))
