"""Stands for a training: writes the rate that it was given."""

import argparse
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--rate", type=float)
parser.add_argument("--model", type=Path)
args = parser.parse_args()

print("the rate is", args.rate)
(args.model / "model.txt").write_text(f"{args.rate}\n")
