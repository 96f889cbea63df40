"""Airflow's API for tasks as a run outside Airflow has it: an application in the run's process."""

from __future__ import annotations

from typing import Any

from airflow.sdk.api.datamodels._generated import API_VERSION
from airflow.sdk.execution_time import supervisor
from cadwyn import HeadVersion, Version, VersionBundle


def prepare() -> None:
    """Makes it ready for the tasks of a run."""
    server = supervisor.in_process_api_server()
    _serve_one_version(server.app)
    _take_any_name(server.transport)


def prepare_fork() -> Any:
    """Makes it ready in a fork of the run's process.

    The application is ready for requests in the parent and is taken over; the thread that served
    them is not in this process, so that it gets a new one.

    Returns:
        The parent's API, which is to be kept: it would wait for its thread when it is collected.
    """
    parents = supervisor.in_process_api_server()
    supervisor.in_process_api_server.cache_clear()
    own = supervisor.in_process_api_server()
    own._app = parents.app  # noqa: SLF001 - its function of no arguments makes another one
    _take_any_name(own.transport)
    return parents


def _serve_one_version(application: Any) -> None:
    """Leaves out the versions of the API that no task of this process asks for.

    Routes and models of all versions are made at the first request, which takes seconds.
    """
    try:
        from cadwyn.route_generation import _DELETED_ROUTE_TAG as ONLY_OLDER
    except ImportError:  # another Cadwyn: slower, but just as good
        return
    every = application.versions
    if next(iter(every)).value != API_VERSION:
        return
    router = application._latest_version_router  # noqa: SLF001 - there is no other way to it
    router.routes[:] = [each for each in router.routes if ONLY_OLDER not in _tags(each)]
    application.versions = VersionBundle(
        HeadVersion(), Version(API_VERSION), api_version_var=every.api_version_var
    )


def _tags(route: Any) -> list[Any]:
    return getattr(route, "tags", [])


def _take_any_name(transport: Any) -> None:
    """Lets names that are not ASCII through to the application.

    Tasks reach it by an httpx transport for WSGI applications. WSGI (PEP 3333) wants a path's UTF-8
    bytes, each as one character; httpx gives it the text itself, and the application is lost.
    """
    application = transport.app

    def with_wsgi_path(environ: dict[str, Any], start_response: Any) -> Any:
        path = environ["PATH_INFO"]
        try:
            path.encode("latin-1").decode()
        except UnicodeError:  # not what WSGI wants
            environ["PATH_INFO"] = path.encode().decode("latin-1")
        return application(environ, start_response)

    transport.app = with_wsgi_path
