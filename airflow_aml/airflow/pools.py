"""The pools that the site's computes name: made where they are not there.

A task whose pool does not exist is never started, and Airflow says so nowhere near it. So the
scheduler, which has the database, makes them when it starts.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

from airflow_aml.airflow.settings import computes
from airflow_aml.workspace.computes import SETTING, Computes

log = logging.getLogger(__name__)


def make_pools() -> None:
    """Makes each pool that a compute names, with ``max_nodes`` slots; one that is there stays.

    Raises:
        WorkspaceException: the site's setting cannot be understood.
    """
    named = computes()
    wanted = pools_of(named)
    if not wanted:
        return
    from airflow.models.pool import Pool

    there = {str(pool.pool): pool.slots for pool in Pool.get_pools()}
    for name, slots in wanted.items():
        if name in there:
            continue
        if slots:
            Pool.create_or_update_pool(name, slots, f"Of {SETTING}.", include_deferred=False)
            there[name] = slots
            log.info("pool %r is made, with %d slots, as %s says", name, slots, SETTING)
        else:
            log.error(
                "%s: there is no pool %r, so the steps of computes that name it never start; give "
                "one of them max_nodes, or make it: airflow pools set %s SLOTS 'Steps'",
                SETTING,
                name,
                name,
            )
    for sentence in too_large(named, there):
        log.error("%s: %s", SETTING, sentence)


def too_large(named: Computes, there: Mapping[str, int]) -> list[str]:
    """What is wrong with computes whose steps take more slots than their pool has at all.

    Args:
        there: pool -> its slots, -1 for any number.
    """
    return [
        f"a step of compute {name!r} takes {each.pool_slots} slots of the pool {each.pool!r}, "
        f"which has {slots}, so it never starts"
        for name, each in named.items()
        if each.pool_slots and -1 != (slots := there.get(each.pool or "", -1)) < each.pool_slots
    ]


def pools_of(named: Computes) -> dict[str, int]:
    """Pool -> the most nodes that any of its computes has; 0 where none says."""
    found: dict[str, int] = {}
    for each in named.values():
        if each.pool:
            found[each.pool] = max(found.get(each.pool, 0), each.max_nodes or 0)
    return found
