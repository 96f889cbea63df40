"""Datasets from queries, on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import pytest

from airflow_aml import Dataset, Datastore, DataType
from airflow_aml.errors import UserErrorException
from scripts.postgresql import PostgreSql
from scripts.test_servers import NotInstalledError

PASSWORD = "pässword with 'quotes'"


@pytest.fixture(scope="module")
def postgres() -> Iterator[int]:
    """The port of a PostgreSQL of this test's own."""
    try:
        server = PostgreSql(user="reader", password=PASSWORD)
    except NotInstalledError as error:
        pytest.skip(str(error))
    with server:
        yield server.port


@pytest.fixture
def database(postgres, ws):
    """The server as a datastore, with a table."""
    import psycopg

    with psycopg.connect(
        host="127.0.0.1", port=postgres, user="reader", password=PASSWORD, dbname="postgres"
    ) as connection:
        connection.execute("DROP TABLE IF EXISTS people")
        connection.execute("CREATE TABLE people (name text, age int, born date, zip text)")
        connection.execute(
            "INSERT INTO people VALUES ('Ann', 31, '1990-03-01', '007'), ('Bob', NULL, NULL, '1')"
        )
    return Datastore.register_azure_postgre_sql(
        ws, "people-db", "127.0.0.1", "postgres", "reader", PASSWORD, port_number=postgres
    )


def test_a_query_is_read_when_it_is_asked_for(ws, database):
    """Registered, found by name, transformed; each reading asks the database anew."""
    query = (
        database,
        "SELECT *, '1 :x 12:30'::text AS colons FROM people WHERE name LIKE '%' ORDER BY name",
    )
    made = Dataset.Tabular.from_sql_query(query).register(ws, "people")

    frame = Dataset.get_by_name(ws, "people").keep_columns(["name", "age"]).to_pandas_dataframe()

    assert list(frame.columns) == ["name", "age"]
    assert frame["name"].tolist() == ["Ann", "Bob"]
    first = made.take(1).to_pandas_dataframe()
    assert first["zip"].tolist() == ["007"]
    assert first["colons"].tolist() == ["1 :x 12:30"]
    assert made.filter(made["born"] < datetime(1999, 1, 1)).to_pandas_dataframe().shape[0] == 1


def test_types_of_a_query_can_be_set(database):
    """set_column_types holds for queries too."""
    made = Dataset.Tabular.from_sql_query(
        (database, "SELECT * FROM people"), set_column_types={"zip": DataType.to_long()}
    )

    assert made.to_pandas_dataframe()["zip"].tolist() == [7, 1]
    mistyped = Dataset.Tabular.from_sql_query(
        (database, "SELECT * FROM people"), set_column_types={"zap": DataType.to_long()}
    )
    with pytest.raises(UserErrorException, match=r"set_column_types: .*no column 'zap'"):
        mistyped.to_pandas_dataframe()


def test_a_connection_signs_in(ws, postgres, database, monkeypatch):
    """connection_id= in place of user and password."""
    import json

    fields = {"conn_type": "postgres", "login": "reader", "password": PASSWORD}
    monkeypatch.setenv("AIRFLOW_CONN_PG", json.dumps(fields))
    other = Datastore.register_azure_postgre_sql(
        ws, "by-connection", "127.0.0.1", "postgres", port_number=postgres, connection_id="pg"
    )

    frame = Dataset.Tabular.from_sql_query((other, "SELECT 1 AS one")).to_pandas_dataframe()

    assert frame["one"].tolist() == [1]


def test_a_wrong_password_is_one_clear_error(ws, postgres, database):
    """The datastore is named, the password is not."""
    wrong = "wr0ng-passw0rd"
    bad = Datastore.register_azure_postgre_sql(
        ws, "bad", "127.0.0.1", "postgres", "reader", wrong, port_number=postgres
    )

    with pytest.raises(UserErrorException, match="datastore 'bad': the query failed") as refused:
        Dataset.Tabular.from_sql_query((bad, "SELECT 1")).to_pandas_dataframe()

    assert wrong not in str(refused.value)


@pytest.mark.parametrize(
    ("query", "words"),
    [("SELEKT 1", "syntax error"), ("SELECT * FROM nothing", "nothing"), ("SELECT 1 /", "syntax")],
)
def test_a_query_that_cannot_be_answered_says_why(database, query, words):
    """With the database's own words."""
    with pytest.raises(UserErrorException, match=words):
        Dataset.Tabular.from_sql_query((database, query)).to_pandas_dataframe()


def test_a_query_has_a_time_limit(database):
    """query_timeout=, in seconds."""
    slow = Dataset.Tabular.from_sql_query((database, "SELECT pg_sleep(30)"), query_timeout=1)

    with pytest.raises(UserErrorException, match="timeout"):
        slow.to_pandas_dataframe()


def test_what_is_no_query_is_refused(store):
    """A datastore of files, and what is no (datastore, text)."""
    with pytest.raises(UserErrorException, match="must be"):
        Dataset.Tabular.from_sql_query("SELECT 1")
    with pytest.raises(UserErrorException, match="is no database"):
        Dataset.Tabular.from_sql_query((store, "SELECT 1")).to_pandas_dataframe()
