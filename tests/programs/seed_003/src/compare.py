import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--comp_data1")
parser.add_argument("--comp_data2")
parser.add_argument("--output_data")
parser.add_argument("--param1", type=int)
args = parser.parse_args()

with open(os.path.join(args.comp_data1, "rows.txt")) as first:
    rows = first.read()
with open(os.path.join(args.comp_data2, "iris.csv")) as second:
    text = f"{rows} of {len(second.readlines()) - 1} rows, limit {args.param1}"
os.makedirs(args.output_data, exist_ok=True)
with open(os.path.join(args.output_data, "compared.txt"), "w") as result:
    result.write(text)
