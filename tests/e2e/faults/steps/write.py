"""Writes a letter that is another one each time."""

import argparse
import os
import uuid

parser = argparse.ArgumentParser()
parser.add_argument("--text")
parser.add_argument("--out")
args = parser.parse_args()
with open(os.path.join(args.out, "letter.txt"), "w") as stream:
    stream.write(f"{args.text} {uuid.uuid4()}")
