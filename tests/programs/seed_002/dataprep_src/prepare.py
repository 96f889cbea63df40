import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--input")
parser.add_argument("--output")
args = parser.parse_args()

for name in sorted(os.listdir(args.input)):
    with open(os.path.join(args.input, name)) as source:
        with open(os.path.join(args.output, name + ".prepared"), "w") as target:
            target.write(source.read().upper())
