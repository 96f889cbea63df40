import argparse
import os

from airflow_aml import Run

parser = argparse.ArgumentParser()
parser.add_argument("--table")
table = parser.parse_args().table
run = Run.get_context()
with open(os.path.join(table, "table.csv"), "w") as stream:
    stream.write("x,y\n1,2\n2,4\n3,6\n")
run.log("rows", 3)
run.log_list("columns", ["x", "y"])
run.log_table("first", {"x": [1, 2], "y": [2, 4]})
run.set_tags({"stage": "prepared", "rows": "3"})
run.add_properties({"source": "made up"})
print("prepared")
