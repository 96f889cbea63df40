import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--path")
print("looked at", parser.parse_args().path)
