import argparse

parser = argparse.ArgumentParser()
parser.add_argument("--param1")
print("trained with", parser.parse_args().param1)
