"""What the misbehaving scripts have in common: their arguments, their notes, and a family."""

import argparse
import os
import signal
import subprocess
import sys
import time

SECONDS = 240


def arguments():
    """The notes folder and the output of this step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--notes")
    parser.add_argument("--out")
    return parser.parse_args()


def note(notes, name, text):
    """Leaves a note that is there as a whole or not at all."""
    path = os.path.join(notes, name)
    with open(path + ".new", "w") as stream:
        stream.write(str(text))
    os.rename(path + ".new", path)


def hang_with_family(notes, out):
    """Writes half an output, starts a child and a daemon that ignores SIGTERM, and waits."""
    with open(os.path.join(out, "half.txt"), "w") as stream:
        stream.write("half")
    note(notes, "step-run", os.environ["AZUREML_RUN_ID"])
    note(notes, "cwd", os.getcwd())
    note(notes, "staging", out)
    note(notes, "script.pid", os.getpid())
    for role in ("child", "daemon"):
        subprocess.Popen([sys.executable, __file__, role, notes])
    print("the family is complete soon")
    time.sleep(SECONDS)


def be_daemon(notes):
    """Leaves parent, group and session, and does not end when asked to."""
    if os.fork():
        return
    os.setsid()
    if os.fork():
        return
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    note(notes, "daemon.pid", os.getpid())
    time.sleep(SECONDS)


if __name__ == "__main__":
    _, role, folder = sys.argv
    if role == "daemon":
        be_daemon(folder)
    else:
        note(folder, "child.pid", os.getpid())
        time.sleep(SECONDS)
