import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--input")
parser.add_argument("--output")
args = parser.parse_args()

with open(os.path.join(args.input, "iris.csv")) as table:
    rows = len(table.readlines()) - 1
os.makedirs(args.output, exist_ok=True)
with open(os.path.join(args.output, "rows.txt"), "w") as result:
    result.write(str(rows))
