"""Fits a ridge regression to all measurements but every fourth, which are kept for the test."""

import argparse
from pathlib import Path

import joblib
import pandas as pd
from sklearn.linear_model import Ridge

parser = argparse.ArgumentParser()
parser.add_argument("--data", type=Path, required=True, help="folder with CSV files")
parser.add_argument("--model", type=Path, required=True, help="folder for the model and its test")
args = parser.parse_args()

tables = [pd.read_csv(path) for path in sorted(args.data.rglob("*.csv"))]
measured = pd.concat(tables, ignore_index=True)
is_test = measured.index % 4 == 3
train, test = measured[~is_test], measured[is_test]
model = Ridge(alpha=0.01).fit(train[["temperature", "pressure"]], train["output"])

joblib.dump(model, args.model / "model.joblib")
test.to_csv(args.model / "test.csv", index=False)
print(f"trained on {len(train)} of {len(measured)} measurements in {len(tables)} files")
