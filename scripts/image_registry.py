"""A registry of images for tests: Debian's ``docker-registry``, which Docker has written.

What is pushed lies in a folder, so that another one can serve the same images to who logs in.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from scripts.test_servers import NotInstalledError, Server, free_port


def image_registry(
    folder: Path, passwords: Path | None = None, images: Path | None = None
) -> Server:
    """A registry on a free port of this machine.

    Args:
        folder: of its settings, and of its images.
        passwords: a file as htpasswd's, with bcrypt: only these may ask; without it all may.
        images: another registry's, to be served by this one, too.

    Raises:
        NotInstalledError: it is not installed.
    """
    program = shutil.which("docker-registry")
    if program is None:
        raise NotInstalledError("docker-registry is not installed: make servers")
    port = free_port()
    settings: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(images or folder / "images")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    if passwords is not None:
        settings["auth"] = {"htpasswd": {"realm": "tests", "path": str(passwords)}}
    folder.mkdir(exist_ok=True)
    file = folder / f"{port}.yml"
    file.write_text(json.dumps(settings))  # which is YAML, too
    return Server([program, "serve", str(file)], port, f"http://127.0.0.1:{port}", {})
