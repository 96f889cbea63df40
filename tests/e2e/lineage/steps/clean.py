import argparse
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--raw", type=Path)
parser.add_argument("--cleaned", type=Path)
args = parser.parse_args()

for city in ("rome", "oslo"):
    lines = (args.raw / f"{city}.csv").read_text().split()
    (args.cleaned / f"{city}.csv").write_text("\n".join(line for line in lines if line.isdigit()))
