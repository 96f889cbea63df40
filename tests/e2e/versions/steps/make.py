import argparse
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--rows", type=int)
parser.add_argument("--to", type=Path)
arguments = parser.parse_args()
(arguments.to / "sales.csv").write_text("1,2\n" * arguments.rows)
