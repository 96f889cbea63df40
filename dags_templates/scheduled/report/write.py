"""Stands for a report: writes for which day it is."""

import argparse
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--day", required=True)
parser.add_argument("--report", type=Path, required=True)
args = parser.parse_args()

(args.report / "report.txt").write_text(f"Report for {args.day}\n")
print("a report for", args.day)
