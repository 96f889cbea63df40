"""Fit a ridge regression."""

import argparse
import os

import joblib
import pandas as pd
from sklearn.linear_model import Ridge

parser = argparse.ArgumentParser()
parser.add_argument("--data", required=True, help="folder with train.csv")
parser.add_argument("--regularization", type=float, default=0.01)
parser.add_argument("--model", required=True, help="folder for model.joblib")
args = parser.parse_args()

patients = pd.read_csv(os.path.join(args.data, "train.csv"))
features, progression = patients.drop(columns="target"), patients["target"]
model = Ridge(alpha=args.regularization).fit(features, progression)

os.makedirs(args.model, exist_ok=True)
joblib.dump(model, os.path.join(args.model, "model.joblib"))
print(f"Trained on {len(patients)} patients with regularization {args.regularization}")
