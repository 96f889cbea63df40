"""Hangs when it is run for the first time, and does its work the second time."""

import os

from family import arguments, hang_with_family

args = arguments()
flag = os.path.join(args.notes, "tried")
if not os.path.exists(flag):
    open(flag, "w").close()
    hang_with_family(args.notes, args.out)
with open(os.path.join(args.out, "whole.txt"), "w") as stream:
    stream.write("whole")
