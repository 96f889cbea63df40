import argparse
import os

from azureml.core import Run

parser = argparse.ArgumentParser()
parser.add_argument('--training-data', type=str, dest='data')
parser.add_argument('--reg', type=float, default=0.1)
args = parser.parse_args()
Run.get_context().log('files', len(os.listdir(args.data)))
