"""``Datastore.register_azure_sql_database`` and the like; see ``datastore_types.py``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional

from airflow_aml.codec import encode
from airflow_aml.definition.homes import home_of
from airflow_aml.definition.setup import REGISTER_DATASTORE, declare
from airflow_aml.errors import NotServedError, UserErrorException
from airflow_aml.workspace.datastores import (
    BUILT_IN,
    DatastoreRecord,
    check_name,
    save_datastore,
)

if TYPE_CHECKING:
    from airflow_aml.definition.datastore import Datastore


class DatabaseRegistrations:
    """The registering half of ``Datastore``: databases."""

    @staticmethod
    def register_azure_sql_database(
        workspace: Any,
        datastore_name: str,
        server_name: str,
        database_name: str,
        tenant_id: Optional[str] = None,
        client_id: Optional[str] = None,
        client_secret: Optional[str] = None,
        resource_url: Optional[str] = None,
        authority_url: Optional[str] = None,
        endpoint: Optional[str] = None,
        overwrite: bool = False,
        username: Optional[str] = None,
        password: Optional[str] = None,
        subscription_id: Optional[str] = None,
        resource_group: Optional[str] = None,
        grant_workspace_access: bool = False,
        connection_id: Optional[str] = None,
    ) -> Datastore:
        """Registers an Azure SQL database, for ``Dataset.Tabular.from_sql_query``.

        Raises:
            UserErrorException: there is one of that name, or nothing to sign in with.
            NotServedError: sign-in by service principal.
        """
        if client_secret and not password:
            raise NotServedError(
                "signing in to a SQL database by service principal is not served.",
                hint="Give username and password, or connection_id.",
            )
        settings = {"endpoint": endpoint or "database.windows.net", "username": username}
        return _register_database(
            workspace,
            datastore_name,
            "AzureSqlDatabase",
            server_name,
            database_name,
            settings,
            username,
            password,
            overwrite,
            connection_id,
        )

    @staticmethod
    def register_azure_postgre_sql(
        workspace: Any,
        datastore_name: str,
        server_name: str,
        database_name: str,
        user_id: Optional[str] = None,
        user_password: Optional[str] = None,
        port_number: Optional[int] = None,
        endpoint: Optional[str] = None,
        overwrite: bool = False,
        enforce_ssl: bool = True,
        connection_id: Optional[str] = None,
        **_: Any,
    ) -> Datastore:
        """Registers a PostgreSQL database, on Azure or anywhere.

        Args:
            server_name: a host, or the name that ``endpoint`` is added to.
            endpoint: ``postgres.database.azure.com`` and the like; none by default.

        Raises:
            UserErrorException: there is one of that name, or nothing to sign in with.
        """
        settings = {
            "endpoint": endpoint,
            "port_number": str(port_number) if port_number else None,
            "user_id": user_id,
        }
        return _register_database(
            workspace,
            datastore_name,
            "AzurePostgreSql",
            server_name,
            database_name,
            settings,
            user_id,
            user_password,
            overwrite,
            connection_id,
        )

    @staticmethod
    def register_azure_my_sql(
        workspace: Any,
        datastore_name: str,
        server_name: str,
        database_name: str,
        user_id: Optional[str] = None,
        user_password: Optional[str] = None,
        port_number: Optional[int] = None,
        endpoint: Optional[str] = None,
        overwrite: bool = False,
        connection_id: Optional[str] = None,
        **_: Any,
    ) -> Datastore:
        """Registers a MySQL database, on Azure or anywhere; as of PostgreSQL.

        Raises:
            UserErrorException: there is one of that name, or nothing to sign in with.
        """
        settings = {
            "endpoint": endpoint,
            "port_number": str(port_number) if port_number else None,
            "user_id": user_id,
        }
        return _register_database(
            workspace,
            datastore_name,
            "AzureMySql",
            server_name,
            database_name,
            settings,
            user_id,
            user_password,
            overwrite,
            connection_id,
        )


def _register_database(
    workspace: Any,
    name: str,
    type_name: str,
    server: str,
    database: str,
    settings: Mapping[str, Optional[str]],
    user: Optional[str],
    password: Optional[str],
    overwrite: bool,
    connection_id: Optional[str],
) -> Datastore:
    require(server_name=server, database_name=database)
    if not connection_id and not (user and password):
        raise UserErrorException(
            f"the database of datastore {name!r} needs a user and a password, or connection_id."
        )
    everything = {**settings, "server_name": server, "database_name": database}
    secret = {"password": password}
    return register(workspace, name, type_name, "", everything, secret, overwrite, connection_id)


def register(
    workspace: Any,
    name: str,
    type_name: str,
    url: str,
    settings: Mapping[str, Optional[str]],
    secret: Mapping[str, Optional[str]],
    overwrite: bool,
    connection_id: Optional[str] = None,
    keep_days: Optional[int] = None,
) -> Datastore:
    """Registers a datastore, or declares it, and returns it."""
    from airflow_aml.definition.datastore import Datastore

    record = DatastoreRecord(
        check_name(name),
        type_name,
        url,
        _said(settings),
        connection_id=connection_id,
        keep_days=_days(name, keep_days),
    )
    kept = _said(secret)
    arguments: Dict[str, Any] = {"record": encode(record), "overwrite": overwrite}
    if name in BUILT_IN or not declare(REGISTER_DATASTORE, arguments, kept):
        save_datastore(home_of(workspace), record, kept, overwrite=overwrite)
    return Datastore(workspace, name)


def _days(name: str, keep_days: Optional[int]) -> Optional[int]:
    whole = isinstance(keep_days, int) and not isinstance(keep_days, bool)
    if keep_days is None or (whole and keep_days >= 1):
        return keep_days
    raise UserErrorException(
        f"keep_days of the datastore {name!r} must be a whole number of days, 1 or more, "
        f"not {keep_days!r}.",
        hint="Leave it out to keep what is in the datastore for ever.",
    )


def _said(values: Mapping[str, Optional[str]]) -> Dict[str, str]:
    return {key: value for key, value in values.items() if value}


def require(**values: Optional[str]) -> None:
    """Refuses arguments that say nothing.

    Raises:
        UserErrorException: one is no text, or empty.
    """
    for name, value in values.items():
        if not isinstance(value, str) or not value:
            raise UserErrorException(f"{name} is required.")
