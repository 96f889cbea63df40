import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument("--numbers")
args = parser.parse_args()

os.makedirs(args.numbers, exist_ok=True)
with open(os.path.join(args.numbers, "numbers.txt"), "w") as stream:
    stream.writelines(f"{number}\n" for number in range(10))
