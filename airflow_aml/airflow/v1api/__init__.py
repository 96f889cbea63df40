"""v1's REST API on Airflow's API server, which alone loads what is behind :class:`V1Api`."""

from __future__ import annotations

from typing import Any

PREFIX = "/aml"
CORE = "airflow_aml.core"
"""The key of a request's scope that holds Airflow's own app."""


class V1Api:
    """An ASGI app that is made when the first request comes: every process reads the plugin."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serves one request."""
        if self._app is None:
            from airflow_aml.airflow.v1api.app import make_app

            self._app = make_app()
        # Where this app is mounted its own takes this place.
        await self._app({**scope, CORE: scope["app"]}, receive, send)
