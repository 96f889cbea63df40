"""Writes many small files; what is in them follows from the arguments alone."""

import argparse
import hashlib
import os
import time

parser = argparse.ArgumentParser()
parser.add_argument("--name")
parser.add_argument("--notes")
parser.add_argument("--files", type=int)
parser.add_argument("--source")
parser.add_argument("--pause", type=float, default=0.0)
parser.add_argument("--out")
args = parser.parse_args()

run = os.environ.get("AZUREML_RUN_ID", "")
with open(os.path.join(args.notes, args.name + ".runs"), "a") as stream:
    stream.write(run + "\n")
started = os.path.join(args.notes, f"{args.name}-{run}.pid")
with open(started + ".new", "w") as stream:
    stream.write(str(os.getpid()))
os.rename(started + ".new", started)

read = hashlib.sha256()
for folder, folders, names in os.walk(args.source) if args.source else ():
    folders.sort()
    for name in sorted(names):
        with open(os.path.join(folder, name), "rb") as source:
            read.update(source.read())
text = f"{os.path.basename(args.notes)} {args.name} {read.hexdigest()}"
for number in range(args.files):
    place = os.path.join(args.out, f"{number % 50:02}")
    os.makedirs(place, exist_ok=True)
    with open(os.path.join(place, f"{number}.txt"), "w") as stream:
        stream.write(f"{text} {number}\n")
    if number == args.files // 2:
        time.sleep(args.pause)
