import argparse
import os

from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument("--output", required=True)
parser.add_argument("--word", default="one")
args, _ = parser.parse_known_args()

run = Run.get_context()
ws = run.experiment.workspace
run.log("words", 2)
os.makedirs(args.output, exist_ok=True)
with open(os.path.join(args.output, "words.txt"), "w") as file:
    file.write(f"{args.word} two")
