import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--prepped_data")
parser.add_argument("--training_results")
args = parser.parse_args()

assert os.path.isdir(args.prepped_data)
with open(os.path.join(args.training_results, "results.txt"), "w") as results:
    results.write(",".join(sorted(os.listdir(args.prepped_data))))
