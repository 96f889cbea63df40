"""Is killed outright, as the system kills what takes too much memory."""

import os
import signal

from family import arguments, note

args = arguments()
note(args.notes, f"try-{os.getpid()}", "")
os.kill(os.getpid(), signal.SIGKILL)
