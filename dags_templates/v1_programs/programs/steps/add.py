import argparse
import os

from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--numbers")
args = parser.parse_args()

run = Run.get_context()
with open(os.path.join(args.numbers, "numbers.txt")) as stream:
    total = sum(int(line) for line in stream)
run.log("total", total)
print("total", total)
