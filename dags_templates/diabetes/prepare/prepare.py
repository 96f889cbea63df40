"""Split the diabetes data set into a part to train on and a part to test on."""

import argparse
import os

from sklearn.datasets import load_diabetes
from sklearn.model_selection import train_test_split

parser = argparse.ArgumentParser()
parser.add_argument("--test-share", type=float, default=0.25)
parser.add_argument("--output", required=True, help="folder for train.csv and test.csv")
args = parser.parse_args()

patients = load_diabetes(as_frame=True).frame
train, test = train_test_split(patients, test_size=args.test_share, random_state=0)

os.makedirs(args.output, exist_ok=True)
train.to_csv(os.path.join(args.output, "train.csv"), index=False)
test.to_csv(os.path.join(args.output, "test.csv"), index=False)
print(f"{len(patients)} patients: {len(train)} to train on, {len(test)} to test on")
