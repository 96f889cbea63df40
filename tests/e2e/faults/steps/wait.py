"""Says something, and goes on only when it is told that this was heard."""

import os
import time

from family import arguments

args = arguments()
print("can you hear me?")
deadline = time.monotonic() + 120
while not os.path.exists(os.path.join(args.notes, "heard")):
    if time.monotonic() > deadline:
        raise SystemExit("nobody heard")
    time.sleep(0.1)
