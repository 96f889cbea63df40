"""Airflow's REST API, for programs outside Airflow. Nothing here imports Airflow."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import httpx

from airflow_aml.definition.engine import API_VARIABLE, api_url
from airflow_aml.errors import AzureMLException, UserErrorException

Document = dict[str, Any]

TOKEN_VARIABLE = "AIRFLOW_AML_API_TOKEN"  # noqa: S105 - a variable's name
USER_VARIABLE = "AIRFLOW_AML_API_USER"
PASSWORD_VARIABLE = "AIRFLOW_AML_API_PASSWORD"  # noqa: S105 - ditto

_ADDRESS = f"{API_VARIABLE} (or [aml] api_url)"
_PAGE = 100
_TIMEOUT = 60.0
_FIRST_PATIENCE = 3.0
"""Seconds for an Airflow that has not answered yet: its address may be wrong."""

_PATIENCE = 300.0
"""Seconds for one that has: it may be starting again."""

_AWAY = frozenset([429, 502, 503, 504])
_LOGIN = f"Set {TOKEN_VARIABLE}, or {USER_VARIABLE} and {PASSWORD_VARIABLE}."


class AirflowAnswer(AzureMLException):
    """Airflow answered a call with an error.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, text: str, where: str):
        self.status = status
        super().__init__(f"Airflow answers {status}: {text}", where=where)


class Rest:
    """One Airflow.

    Args:
        url: its address, as a browser has it.
        token: that opens it; else user and password.
    """

    def __init__(self, url: str, token: str, user: str, password: str):
        self.url = url.rstrip("/").removesuffix("/api/v2")
        if not self.url.startswith(("http://", "https://")):
            raise UserErrorException(
                f"{_ADDRESS} must be an address such as https://airflow.example.com, not {url!r}."
            )
        self._token = token
        self._login = {"username": user, "password": password}
        self._has_answered = False
        self._client = httpx.Client(base_url=self.url, timeout=_TIMEOUT)
        if token:
            self._client.headers["Authorization"] = f"Bearer {token}"

    def call(
        self,
        method: str,
        *path: str,
        body: Document | None = None,
        query: Mapping[str, Any] | None = None,
    ) -> Document:
        """One call; each part of the path is one segment. Lost connections are tried again.

        Raises:
            UserErrorException: token, user or password are refused.
            AirflowAnswer: any other error that it answers with.
            AzureMLException: it cannot be reached.
        """
        if "Authorization" not in self._client.headers:
            self._log_in()
        address = "/api/v2/" + "/".join(quote(part, safe="") for part in path)
        answer = self._send(method, address, body, query)
        if _is_stranger(answer) and not self._token:
            self._log_in()  # tokens end after a while
            answer = self._send(method, address, body, query)
        if _is_stranger(answer):
            raise UserErrorException(
                f"Airflow at {self.url} does not accept the token in {TOKEN_VARIABLE}; it may have "
                "expired.",
                hint=f"Get a new one, or set {USER_VARIABLE} and {PASSWORD_VARIABLE} instead.",
            )
        if not answer.is_success:
            raise AirflowAnswer(answer.status_code, _detail(answer), f"{self.url}{address}")
        return self._document(answer)

    def authorization(self) -> str:
        """What stands in the header ``Authorization`` of its calls; logs in if need be.

        Raises:
            UserErrorException: user or password are refused, or not there.
            AzureMLException: it cannot be reached.
        """
        if "Authorization" not in self._client.headers:
            self._log_in()
        return self._client.headers["Authorization"]

    def pages(
        self, *path: str, key: str, query: Mapping[str, Any] | None = None
    ) -> Iterator[Document]:
        """All entries of a list."""
        offset = 0
        while True:
            asked = {**(query or {}), "limit": _PAGE, "offset": offset}
            entries = self.call("GET", *path, query=asked)[key]
            yield from entries
            offset += len(entries)
            if len(entries) < _PAGE:
                return

    def _log_in(self) -> None:
        if not all(self._login.values()):
            raise UserErrorException(f"Airflow at {self.url} asks who you are.", hint=_LOGIN)
        answer = self._send("POST", "/auth/token", self._login, None)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            raise UserErrorException(
                f"Airflow at {self.url} does not accept user {self._login['username']!r} with this "
                "password.",
                hint=f"Look at {USER_VARIABLE} and {PASSWORD_VARIABLE}.",
            )
        if answer.status_code in (httpx.codes.NOT_FOUND, httpx.codes.METHOD_NOT_ALLOWED):
            raise UserErrorException(
                f"no Airflow is at {self.url}: {self.url}/auth/token answers {answer.status_code}.",
                hint="The address is that of Airflow's first page, without the path of another.",
            )
        if not answer.is_success:
            raise AirflowAnswer(answer.status_code, _detail(answer), f"{self.url}/auth/token")
        token = self._document(answer).get("access_token")
        self._client.headers["Authorization"] = f"Bearer {token}"

    def _send(
        self, method: str, address: str, body: Document | None, query: Mapping[str, Any] | None
    ) -> httpx.Response:
        patience = _PATIENCE if self._has_answered else _FIRST_PATIENCE
        deadline, pause = time.monotonic() + patience, 0.2
        while True:
            try:
                answer = self._client.request(method, address, json=body, params=query)
                if not _is_away(answer):
                    self._has_answered = True
                    return answer
                problem = f"it answers {answer.status_code}"
            except httpx.TransportError as error:
                problem = str(error) or type(error).__name__
            if time.monotonic() + pause > deadline:
                raise AzureMLException(
                    f"Airflow at {self.url} cannot be reached: {problem.rstrip('.')}.",
                    hint=f"Is it running, and is {_ADDRESS} its address?",
                )
            time.sleep(pause)
            pause = min(pause * 2, 5.0)

    def _document(self, answer: httpx.Response) -> Document:
        try:
            return dict(answer.json())
        except (ValueError, TypeError):
            raise AzureMLException(
                "this is not Airflow's REST API: its answer is no JSON.",
                where=str(answer.url),
                hint=f"{_ADDRESS} must be the address of an Airflow 3.",
            ) from None


def rest() -> Rest:
    """The Airflow that this process' environment names; one connection for all who ask."""
    names = (TOKEN_VARIABLE, USER_VARIABLE, PASSWORD_VARIABLE)
    return _rest(api_url(), *(os.environ.get(name, "") for name in names))


@lru_cache(maxsize=4)
def _rest(url: str, token: str, user: str, password: str) -> Rest:
    return Rest(url, token, user, password)


def _is_away(answer: httpx.Response) -> bool:
    # What Airflow says when its database was busy for too long.
    busy = answer.status_code == httpx.codes.INTERNAL_SERVER_ERROR and "Database" in answer.text
    return busy or answer.status_code in _AWAY


def _is_stranger(answer: httpx.Response) -> bool:
    """Whether the token is not, or no longer, one that Airflow takes."""
    unknown = answer.status_code == httpx.codes.FORBIDDEN and "token" in answer.text
    return unknown or answer.status_code == httpx.codes.UNAUTHORIZED


def _detail(answer: httpx.Response) -> str:
    """What an answer says went wrong."""
    try:
        detail = answer.json()["detail"]
    except (ValueError, LookupError, TypeError):
        detail = answer.text or answer.headers.get("location") or answer.reason_phrase
    return (detail if isinstance(detail, str) else str(detail))[:1000]
