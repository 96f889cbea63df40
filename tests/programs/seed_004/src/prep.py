import argparse
import os

parser = argparse.ArgumentParser()
parser.add_argument('--out_folder', type=str, dest='folder')
args = parser.parse_args()
output_folder = args.folder

output_path = os.path.join(output_folder, 'prepped_data.csv')
with open(output_path, 'w') as prepped:
    prepped.write('a,b\n1,2\n')
