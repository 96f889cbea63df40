import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--input", required=True)
parser.add_argument("--output", required=True)
args = parser.parse_args()

with open(args.input) as news:
    words = news.read().split()
# A PipelineData's path does not exist yet: v1 scripts make it.
os.makedirs(args.output, exist_ok=True)
with open(os.path.join(args.output, "model.txt"), "w") as model:
    model.write(f"{len(words)} words")
