"""Registers the new model if it predicts the test better than the registered one does."""

import argparse
from pathlib import Path

import joblib
import pandas as pd

from airflow_aml import Model, Run

NAME = "output-model"

parser = argparse.ArgumentParser()
parser.add_argument("--model", type=Path, required=True, help="folder of the training")
args = parser.parse_args()

run = Run.get_context()
ws = run.experiment.workspace
test = pd.read_csv(args.model / "test.csv")


def error(path: str) -> float:
    """The mean absolute error of the model in that file."""
    predicted = joblib.load(path).predict(test[["temperature", "pressure"]])
    return float(abs(predicted - test["output"]).mean())


challenger = error(str(args.model / "model.joblib"))
run.log("challenger", challenger)
champions = Model.list(ws, name=NAME, latest=True)
if champions:
    champion = error(champions[0].download("champion"))
    run.log("champion", champion)
if not champions or challenger < champion:
    new = Model.register(ws, str(args.model / "model.joblib"), NAME, tags={"error": challenger})
    print(f"registered version {new.version}: its error is {challenger:.3f}")
else:
    print(
        f"version {champions[0].version} stays: its error is {champion:.3f}, not {challenger:.3f}"
    )
