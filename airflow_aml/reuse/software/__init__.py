"""The software that a step asks for: from its wish to a lock, and from a lock to an interpreter.

::

    wish_of(spec, site, home)   EnvironmentSpec -> Wish     names looked up, azureml-* replaced
    lock_of(wish, home)         Wish -> Lock                every package's version, made once
    interpreter_of(lock)        Lock -> path                built once on each machine
    activation_of(interpreter)  path -> Activation          what conda has brought along
    packages_of(lock)           Lock -> path                its packages alone, for a container

A workspace keeps the lock of each wish, so all workers and all runs share one answer. The lock is
what counts for reuse; where it is built and when does not.
"""

from __future__ import annotations

from airflow_aml.reuse.software.built import activation_of, interpreter_of, packages_of
from airflow_aml.reuse.software.locks import Lock, lock_of
from airflow_aml.reuse.software.site import Site
from airflow_aml.reuse.software.wishes import Wish, wish_of

__all__ = [
    "Lock",
    "Site",
    "Wish",
    "activation_of",
    "interpreter_of",
    "lock_of",
    "packages_of",
    "wish_of",
]
