"""``python -m airflow_aml.runtime [--watch-stdin] job.json``: runs one attempt at one step."""

import sys

# Before anything that an older interpreter cannot even read.
if sys.version_info < (3, 8):  # noqa: UP036 - steps bring their own interpreter
    sys.stderr.write(
        "airflow_aml: steps need Python 3.8 or later; %s is Python %s.\n"  # noqa: UP031
        % (sys.executable, sys.version.split()[0])
    )
    sys.exit(121)

import os

from airflow_aml.runtime.entry import main

CODE = main(sys.argv[1:])
sys.stderr.flush()
# Nothing is left to be taken down, and taking it down takes as long as starting a small script.
os._exit(CODE)
