"""Measure the model on patients that it has not seen."""

import argparse
import json
import os

import joblib
import pandas as pd
from sklearn.metrics import r2_score, root_mean_squared_error

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True, help="folder with test.csv")
parser.add_argument("--model", required=True, help="folder with model.joblib")
parser.add_argument("--metrics", required=True, help="folder for metrics.json")
args = parser.parse_args()

patients = pd.read_csv(os.path.join(args.data, "test.csv"))
features, progression = patients.drop(columns="target"), patients["target"]
model = joblib.load(os.path.join(args.model, "model.joblib"))
predicted = model.predict(features)

metrics = {
    "regularization": model.alpha,
    "r2": round(r2_score(progression, predicted), 4),
    "rmse": round(root_mean_squared_error(progression, predicted), 2),
}
os.makedirs(args.metrics, exist_ok=True)
with open(os.path.join(args.metrics, "metrics.json"), "w") as stream:
    json.dump(metrics, stream, indent=2)
for name, value in metrics.items():
    print(f"{name}: {value}")
