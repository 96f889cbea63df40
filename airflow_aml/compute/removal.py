"""``python -m airflow_aml.compute.removal <engine> <container> <attempt> <kill after> <folder>...``

What is left to do when the process that ran a step's container was killed outright.
"""

from __future__ import annotations

import sys
from contextlib import suppress

from airflow_aml.runtime import sweep


def main(arguments: list[str]) -> None:
    """Removes the container, and then what any attempt leaves."""
    from docker import APIClient
    from docker.errors import DockerException

    engine, container, *attempt = arguments
    try:
        client = APIClient(base_url=engine, version="auto")
        with suppress(DockerException):  # it was not made yet, or somebody else removes it
            client.remove_container(container, force=True, v=True)
    finally:
        sweep.main(attempt)


if __name__ == "__main__":
    main(sys.argv[1:])
