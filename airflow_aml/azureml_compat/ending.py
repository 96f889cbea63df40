"""What keeps a program from holding up, or leaving, the process that only loads it."""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from types import CodeType
from typing import Any, Iterator, NoReturn

from airflow_aml.definition.declarations import Declarations

_PATIENCE = 100
"""So often a program may sleep for something that it has declared."""


@contextmanager
def coming_to_an_end(declared: Declarations) -> Iterator[None]:
    """Inside, what a program has declared is not slept for, and ``os._exit`` ends it alone.

    A program that asks again and again whether its run has finished would never end: nothing runs
    while it is loaded. Other threads sleep as they like, and so do processes that it forks.
    """
    sleep, leave = time.sleep, os._exit
    owner, thread, slept = os.getpid(), threading.get_ident(), 0

    def is_program() -> bool:
        return os.getpid() == owner and threading.get_ident() == thread

    def sleep_for_nothing(seconds: Any) -> None:
        nonlocal slept
        if not (is_program() and declared.declared()):
            sleep(seconds)
            return
        slept += 1
        if slept > _PATIENCE:
            raise SystemExit("the program waits for what it has only declared")

    def leave_program(status: int) -> NoReturn:
        if is_program():
            raise SystemExit(status)
        leave(status)

    time.sleep, os._exit = sleep_for_nothing, leave_program
    try:
        yield
    except BaseException as error:
        _leave_out(sleep_for_nothing.__code__, error)
        raise
    finally:
        time.sleep, os._exit = sleep, leave


def _leave_out(function: CodeType, error: BaseException) -> None:
    """Takes a function's frame off the traceback's end: Airflow shows the last two alone."""
    at = error.__traceback__
    while at is not None:
        if at.tb_next is not None and at.tb_next.tb_frame.f_code is function:
            at.tb_next = None
        at = at.tb_next
