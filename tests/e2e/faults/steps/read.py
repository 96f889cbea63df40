"""Copies the letter."""

import argparse
import os
import shutil

parser = argparse.ArgumentParser()
parser.add_argument("--letter")
parser.add_argument("--out")
args = parser.parse_args()
shutil.copyfile(os.path.join(args.letter, "letter.txt"), os.path.join(args.out, "copy.txt"))
