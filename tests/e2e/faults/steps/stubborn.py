"""Does not end when it is asked to."""

import signal

from family import arguments, hang_with_family

args = arguments()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
hang_with_family(args.notes, args.out)
