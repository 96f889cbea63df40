"""Queries to databases, through SQLAlchemy and whatever driver this interpreter has."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any, Dict, Optional, Tuple

from airflow_aml.definition.data.columns import convert, pandas
from airflow_aml.definition.data.model import Query
from airflow_aml.definition.data.operations import apply_to_frame, check_columns
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace import credentials
from airflow_aml.workspace.datastores import (
    SQL_TYPES,
    DatastoreRecord,
    load_datastore,
    secret_of,
)
from airflow_aml.workspace.home import Home

_DRIVERS: Dict[str, Tuple[str, ...]] = {
    "postgresql": ("psycopg", "psycopg2", "pg8000"),
    "mysql": ("pymysql", "MySQLdb", "mysql.connector"),
    "mssql": ("pyodbc", "pymssql"),
}
_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_DRIVER_NAMES = {"MySQLdb": "mysqldb", "mysql.connector": "mysqlconnector"}


def read_query(definition: Query, home: Home, on_error: str) -> Any:
    """The records that a query gives now, after the dataset's operations.

    Raises:
        UserErrorException: the database cannot be reached or refuses the query.
    """
    record = load_datastore(home, definition.datastore)
    if record.type not in SQL_TYPES:
        raise UserErrorException(
            f"the datastore {record.name!r} is no database.",
            hint="from_sql_query takes one that register_azure_postgre_sql or the like has made.",
        )
    frame = _ask(record, home, definition)
    check_columns(frame, definition.types, "set_column_types")
    for name, kind in definition.types.items():
        frame[name] = convert(frame[name], kind, on_error, f"datastore {record.name!r}")
    return apply_to_frame(frame, definition.operations)


def _ask(record: DatastoreRecord, home: Home, definition: Query) -> Any:
    try:
        sqlalchemy: Any = import_module("sqlalchemy")
    except ImportError as error:
        raise UserErrorException(
            f"queries need SQLAlchemy in this interpreter: {error}.", hint="pip install sqlalchemy"
        ) from error
    dialect = SQL_TYPES[record.type]
    driver = _driver(dialect)
    fields = _login(record, home)
    url = sqlalchemy.engine.URL.create(
        f"{dialect}+{_DRIVER_NAMES.get(driver, driver)}",
        username=fields["login"],
        password=fields["password"],
        host=fields["host"],
        port=fields["port"],
        database=fields["schema"],
    )
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.pool.NullPool)
    try:
        with engine.connect() as connection:
            _limit(connection, dialect, definition.timeout, sqlalchemy)
            # Escaped: a colon in the author's query never begins a parameter.
            query = definition.query.replace(":", "\\:")
            result = connection.execute(sqlalchemy.text(query))
            return _frame(result.fetchall(), list(result.keys()))
    except sqlalchemy.exc.SQLAlchemyError as error:
        # Not chained: a driver's error may quote how it was called.
        raise UserErrorException(
            f"the query failed: {_said(error, fields['password'])}",
            where=f"datastore {record.name!r}",
        ) from None
    finally:
        engine.dispose()


def _frame(rows: Any, columns: Any) -> Any:
    from datetime import date

    frame = pandas().DataFrame.from_records(
        [tuple(row) for row in rows], columns=columns, coerce_float=True
    )
    for name in columns:
        values = frame[name].dropna()
        if len(values) and frame[name].dtype == "object" and type(values.iloc[0]) is date:
            frame[name] = convert(frame[name], {"type": "datetime"}, "null", name)
    return frame


def _limit(connection: Any, dialect: str, seconds: int, sqlalchemy: Any) -> None:
    if dialect == "postgresql" and seconds:
        connection.execute(sqlalchemy.text(f"SET statement_timeout = {int(seconds) * 1000}"))
    elif dialect == "mysql" and seconds:
        connection.execute(sqlalchemy.text(f"SET max_execution_time = {int(seconds) * 1000}"))


def _driver(dialect: str) -> str:
    for name in _DRIVERS[dialect]:
        if find_spec(name.partition(".")[0]) is not None:
            return name
    wanted = " or ".join(_DRIVERS[dialect])
    raise UserErrorException(
        f"a query to {dialect} needs a driver in this interpreter: {wanted}.",
        hint=f"pip install {_DRIVERS[dialect][0]}",
    )


def _login(record: DatastoreRecord, home: Home) -> Dict[str, Any]:
    settings = record.settings
    dialect = SQL_TYPES[record.type]
    server, endpoint = settings["server_name"], settings.get("endpoint")
    host: Optional[str] = f"{server}.{endpoint}" if endpoint else server
    fields: Dict[str, Any] = {
        "login": settings.get("user_id") or settings.get("username"),
        "password": secret_of(home, record).get("password"),
        "host": host,
        "port": int(settings.get("port_number") or _PORTS[dialect]),
        "schema": settings["database_name"],
    }
    if record.connection_id:
        known = credentials.login_fields(record.connection_id)
        fields["login"] = known.get("login") or fields["login"]
        fields["password"] = known.get("password") or fields["password"]
        if known.get("port") and not settings.get("port_number"):
            fields["port"] = int(known["port"])
    return fields


def _said(error: Exception, password: Optional[str]) -> str:
    text = " ".join(str(getattr(error, "orig", None) or error).split())
    return text.replace(password, "***") if password else text
