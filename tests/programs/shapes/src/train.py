import argparse
import os

from azureml.core.model import Model
from azureml.core.run import Run, _OfflineRun

parser = argparse.ArgumentParser()
parser.add_argument("--input", required=True)
parser.add_argument("--model", required=True)
parser.add_argument("--rate", type=float, default=0.1)
args, _ = parser.parse_known_args()

run = Run.get_context()
assert not isinstance(run, _OfflineRun)
with open(os.path.join(args.input, "words.txt")) as file:
    words = file.read().split()
os.makedirs(args.model, exist_ok=True)
with open(os.path.join(args.model, "model.txt"), "w") as file:
    file.write(f"{len(words)} words, rate {args.rate}")
run.log("rate", args.rate)
run.parent.log("words in all", len(words))
run.parent.tag("trained", "yes")
