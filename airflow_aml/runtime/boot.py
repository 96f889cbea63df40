"""The first program of a step's pod: it fetches the runtime and hands over to it.

Its text alone is started, by whatever Python the image has, without this package:
``python -c <text> <runtime> <work> <job> <answer>``, all of them places (``runtime.is_uri``).
"""

import os
import sys

REFUSED = 121
"""Exit code of a pod whose image cannot run steps; its last line says why."""


class Refused(Exception):
    """The image cannot run steps."""


def main(runtime, work, job, answer):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN201 - even 2.7 reads this
    """Makes the runtime importable and runs it; returns the pod's exit code."""
    if sys.version_info < (3, 8):  # noqa: UP036 - whatever the image has
        raise Refused("steps need Python 3.8 or later: the image has %s" % sys.version.split()[0])  # noqa: UP031
    place = os.path.join(work, "airflow_aml.zip")
    try:
        os.makedirs(work, exist_ok=True)
        _fetch(runtime, place)  # type: ignore[no-untyped-call]
    except OSError as error:
        user = os.getuid()
        raise Refused("user %d cannot have the runtime from %s: %s" % (user, runtime, error))  # noqa: B904, UP031
    sys.path[:] = [place] + [each for each in sys.path if each]
    os.environ["PYTHONPATH"] = os.pathsep.join(
        filter(None, [os.environ.get("PYTHONPATH", ""), place])
    )
    from airflow_aml.runtime import pod

    return pod.main(work, job, answer)


def _fetch(runtime, place):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
    if "://" not in runtime:
        import shutil

        shutil.copyfile(runtime, place)
        return
    import json

    stores = json.loads(os.environ.get("AIRFLOW_AML_STORES") or "{}")
    urls = [url for url in stores if runtime.startswith(url + "/")]
    options = stores[max(urls, key=len)] if urls else {}
    try:
        import fsspec

        files, path = fsspec.core.url_to_fs(runtime, **options)
    except ImportError as error:
        raise Refused(  # noqa: B904
            "the image has not what it takes to read the workspace (%s): it needs fsspec and "  # noqa: UP031
            "the driver of its store, adlfs or s3fs" % error
        )
    files.get_file(path, place)


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))  # type: ignore[no-untyped-call]
    except Refused as refused:
        sys.stderr.write("airflow_aml: %s.\n" % refused)  # noqa: UP031
        sys.exit(REFUSED)
