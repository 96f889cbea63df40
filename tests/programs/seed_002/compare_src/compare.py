import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--training_results")
parser.add_argument("--param1")
args = parser.parse_args()

with open(os.path.join(args.training_results, "results.txt")) as results:
    print("compared", results.read(), "with", args.param1)
