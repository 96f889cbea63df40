import argparse
import os

import pandas

parser = argparse.ArgumentParser()
parser.add_argument('--out_folder', type=str, dest='folder')
args = parser.parse_args()
output_folder = args.folder

prepped_df = pandas.DataFrame({'a': [1], 'b': [2]})

output_path = os.path.join(output_folder, 'prepped_data.csv')
prepped_df.to_csv(output_path)
