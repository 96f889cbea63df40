"""v1's key vault: Airflow's Variables, from whichever backend of secrets the site has.

A script's process has no Airflow; what it asks for while its task runs is answered from here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow_aml.definition.keyvault import VARIABLE_PREFIX, variable_of
from airflow_aml.errors import UserErrorException
from airflow_aml.runtime.secrets import SECRETS_VARIABLE, answering

if TYPE_CHECKING:
    from airflow_aml.runtime.job import StepJob

_LOG = logging.getLogger(__name__)


@contextmanager
def answered(job: StepJob) -> Iterator[StepJob]:
    """Inside, the job's script gets the secrets that it asks for."""
    serving = answering(get)
    try:
        path = serving.__enter__()
    except OSError as error:
        _LOG.warning("secrets cannot be handed to this step: %s", error)
        yield job
        return
    try:
        variables = {SECRETS_VARIABLE: path, **job.environment_variables}
        yield replace(job, environment_variables=variables)
    finally:
        serving.__exit__(None, None, None)


def get(name: str) -> str | None:
    """A secret's value; None if there is none. Airflow hides it in logs from now on."""
    from airflow.sdk.log import mask_secret

    found = _get(variable_of(name))
    value = None if found is None else str(found)
    for part in [value, *value.splitlines()] if value else ():
        mask_secret(part)
    return value


def named(names: Iterable[str]) -> dict[str, str | None]:
    """The secrets that a compute names, to be handed to where nobody can ask for them."""
    return {name: get(name) for name in names}


def put(name: str, value: str) -> None:
    """Keeps a secret in Airflow's database.

    Raises:
        UserErrorException: Airflow has no database here.
    """
    _in_database().set(variable_of(name), value, description="a secret of Azure ML's key vault")


def delete(name: str) -> bool:
    """Removes a secret from Airflow's database; False if it is not there."""
    return bool(_in_database().delete(variable_of(name)))


def names() -> list[str]:
    """The secrets in Airflow's database: other backends do not tell what they have."""
    from airflow.utils.session import create_session
    from sqlalchemy import select

    keys = _in_database().key
    with create_session() as session:
        found = session.scalars(select(keys).where(keys.startswith(VARIABLE_PREFIX)))
        return sorted(key[len(VARIABLE_PREFIX) :].replace("_", "-") for key in found)


def _get(variable: str) -> Any:
    if _is_in_task():
        from airflow.sdk import Variable

        return Variable.get(variable, default=None)
    if _has_database():
        return _in_database().get(variable, default_var=None)
    return _without_database(variable)


def _is_in_task() -> bool:
    from airflow.sdk.execution_time import task_runner

    return getattr(task_runner, "SUPERVISOR_COMMS", None) is not None


def _without_database(variable: str) -> Any:
    """A variable that another backend has; asked together, each failure would be a traceback."""
    from airflow.configuration import ensure_secrets_loaded
    from airflow.secrets.metastore import MetastoreBackend

    others = (each for each in ensure_secrets_loaded() if not isinstance(each, MetastoreBackend))
    found = (each.get_variable(key=variable) for each in others)
    return next((value for value in found if value is not None), None)


def _in_database() -> Any:
    from airflow.models.variable import Variable

    if not _has_database():
        raise UserErrorException(
            "Airflow's database was never set up here, or cannot be reached.",
            hint="Look at AIRFLOW_HOME, and at what `airflow db check-migrations` says.",
        )
    return Variable


def _has_database() -> bool:
    """Whether it is there and has been set up; it is not made by being asked for."""
    from airflow import settings
    from airflow.models.variable import Variable
    from sqlalchemy import inspect
    from sqlalchemy.exc import SQLAlchemyError

    engine = settings.engine
    if engine is None:
        return False
    file = engine.url.database if engine.dialect.name == "sqlite" else None
    if file and not os.path.exists(file):
        return False
    try:
        return bool(inspect(engine).has_table(Variable.__tablename__))
    except SQLAlchemyError as error:
        _LOG.warning("Airflow's database cannot be asked for secrets: %s", type(error).__name__)
        return False
