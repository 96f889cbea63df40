"""Locking the environments of a pipeline's steps: what its first task does, and ``plan`` asks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_aml.errors import AirflowAmlError
from airflow_aml.reuse.software.locks import Lock, lock_of
from airflow_aml.reuse.software.site import Site
from airflow_aml.reuse.software.wishes import Wish, asks, wish_of

if TYPE_CHECKING:
    from airflow_aml.definition.spec import NodeSpec
    from airflow_aml.workspace.home import Home

Said = Callable[[str], None]


def lock_steps(
    nodes: Iterable[NodeSpec],
    home: Home,
    *,
    get: Callable[[str], str] | None = None,
    say: Said = lambda sentence: None,
    keep: bool = True,
    anew: bool = False,
    pending: Mapping[str, Any] = {},
    contained: Callable[[NodeSpec], bool] = lambda node: False,
) -> dict[str, Lock]:
    """The locks of all steps that have an environment of their own, by node id.

    Args:
        get: gives a setting of the site's; see :meth:`Site.read`.
        say: hears once what was replaced in a wish, and that a lock is made.
        keep, anew: see :func:`lock_of`.
        pending: environments that the run will first register, name -> document.
        contained: whether a step runs in an image.

    Raises:
        UserErrorException: a step asks for what cannot be had; the text names the step.
        WorkspaceException: an index or the store cannot be reached.
    """
    asking = [node for node in nodes if asks(node.settings.environment)]
    if not asking:
        return {}
    site = Site.read(get)
    made: dict[Wish, Lock] = {}
    locks: dict[str, Lock] = {}
    for node in asking:
        where = f"step {node.name!r}"
        try:
            asked = node.settings.environment
            wish = wish_of(asked, site, home, pending=pending, contained=contained(node))
            if wish is None:
                continue
            if wish not in made:
                for note in wish.notes:
                    say(f"{where}: {note}")
                made[wish] = lock_of(wish, home, keep=keep, anew=anew, say=say)
        except AirflowAmlError as error:
            raise type(error)(error.message, where=where, hint=error.hint) from error
        locks[node.id] = made[wish]
    return locks
