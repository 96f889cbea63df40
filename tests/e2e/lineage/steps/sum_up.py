import argparse
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--sales", type=Path)
parser.add_argument("--report", type=Path)
args = parser.parse_args()

total = sum(int(line) for file in args.sales.iterdir() for line in file.read_text().split())
(args.report / "total.txt").write_text(str(total))
