import argparse
import os
import subprocess
import sys
import time

parser = argparse.ArgumentParser()
parser.add_argument("--notes")
notes = parser.parse_args().notes
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
with open(os.path.join(notes, "partial"), "w") as stream:
    stream.write(f"{os.getpid()} {child.pid}")
os.rename(os.path.join(notes, "partial"), os.path.join(notes, "processes"))
time.sleep(3600)
