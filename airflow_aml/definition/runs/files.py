"""A run's files, tags and properties (reference 1.1)."""

from __future__ import annotations

import os
from typing import Any, Dict, Iterable, List, Mapping, Optional, Sequence

from airflow_aml.definition.names import LONGEST_NAME, check_mapping
from airflow_aml.definition.runs.recorded import Recorded
from airflow_aml.errors import UserErrorException
from airflow_aml.workspace.journal import properties_of, tags_of


class Files(Recorded):
    """The calls about files. Names are v1's: POSIX paths such as ``outputs/model.pkl``."""

    def upload_file(self, name: str, path_or_stream: Any, datastore_name: Any = None) -> None:
        """Keeps a local file, or what an open binary stream gives, with the run.

        Raises:
            UserErrorException: there is no such file, the name climbs, or a stream gives text.
        """
        checked, where = _checked(name), f"upload_file({name!r})"
        if hasattr(path_or_stream, "read"):
            import tempfile  # most scripts never need it

            with tempfile.TemporaryDirectory() as folder:
                copy = os.path.join(folder, "content")
                _copy_stream(path_or_stream, copy, where)
                self._add(checked, copy)
            return
        if not isinstance(path_or_stream, (str, os.PathLike)):
            raise UserErrorException(
                "a file is given by its path or as an open binary stream, not as a "
                f"{type(path_or_stream).__name__}.",
                where=where,
            )
        path = os.fspath(path_or_stream)
        if not os.path.isfile(path):
            raise UserErrorException(f"there is no file {path!r}.", where=where)
        self._add(checked, path)

    def upload_files(
        self,
        names: Sequence[str],
        paths: Sequence[str],
        return_artifacts: bool = False,
        timeout_seconds: Optional[int] = None,
        datastore_name: Any = None,
    ) -> None:
        """Keeps several files, one name for each."""
        if len(names) != len(paths):
            raise UserErrorException(
                f"upload_files takes as many names as paths, not {len(names)} and {len(paths)}."
            )
        for name, path in zip(names, paths):
            self.upload_file(name, path)

    def upload_folder(self, name: str, path: str, datastore_name: Any = None) -> None:
        """Keeps all files of a folder, below the name.

        Raises:
            UserErrorException: there is no such folder.
        """
        name = _checked(name.rstrip("/") if isinstance(name, str) else name)
        if not os.path.isdir(path):
            raise UserErrorException(
                f"there is no folder {path!r}.", where=f"upload_folder({name!r})"
            )
        for root, _, files in os.walk(path):
            below = os.path.relpath(root, path).replace(os.sep, "/")
            prefix = name if below == "." else f"{name}/{below}"
            for file in files:
                self.upload_file(f"{prefix}/{file}", os.path.join(root, file))

    def get_file_names(self) -> List[str]:
        """Names of the run's files, sorted; also what is in ``./outputs`` and ``./logs``."""
        return self._names()

    def download_file(
        self, name: str, output_file_path: Optional[str] = None, _validate_checksum: bool = False
    ) -> None:
        """Copies one of the run's files to a local path, or into a folder.

        Args:
            output_file_path: a folder if it is there as one, or ends with a slash.

        Raises:
            UserErrorException: the run has no such file, and the text lists names like it; or the
                local path cannot be written.
        """
        target = os.fspath(output_file_path or name.rpartition("/")[2])
        if os.path.isdir(target) or target.endswith(("/", os.sep)):
            target = os.path.join(target, name.rpartition("/")[2])
        make_local_folder(os.path.dirname(os.path.abspath(target)), f"file {name!r}")
        try:
            self._fetch(name, target)
        except FileNotFoundError:
            names = self._names()
            shown = ", ".join(map(repr, names[:10])) + (", ..." if len(names) > 10 else "")
            raise UserErrorException(
                f"the run has no file {name!r}.",
                hint=f"Its files: {shown}." if names else "It has no files.",
            ) from None
        except OSError as error:
            raise UserErrorException(
                f"{target!r} cannot be written: {error.strerror or error}.", where=f"file {name!r}"
            ) from error

    def download_files(
        self,
        prefix: Optional[str] = None,
        output_directory: Optional[str] = None,
        output_paths: Optional[Sequence[str]] = None,
        batch_size: int = 100,
        append_prefix: bool = True,
        timeout_seconds: Optional[int] = None,
    ) -> None:
        """Copies all files whose names start with a prefix.

        Args:
            append_prefix: whether the local paths hold the prefix, too.
            output_paths: one for each of the files in turn, instead of their names.
        """
        names = [name for name in self._names() if name.startswith(prefix or "")]
        if output_paths is not None and len(output_paths) != len(names):
            raise UserErrorException(
                f"download_files found {len(names)} files for {len(output_paths)} output_paths."
            )
        for number, name in enumerate(names):
            local = name if append_prefix or not prefix else name[len(prefix) :].lstrip("/")
            if output_paths is not None:
                local = output_paths[number]
            self.download_file(name, os.path.join(output_directory or ".", *local.split("/")))


class Tags(Recorded):
    """The calls about tags and properties."""

    def tag(self, key: str, value: Optional[str] = None) -> None:
        """Sets one tag.

        Raises:
            UserErrorException: it has no name.
        """
        self._note({"tag": _key("tag", key), "value": None if value is None else str(value)})

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Sets several tags; others stay.

        Raises:
            UserErrorException: it is no dict, or one has no name.
        """
        given = check_mapping("set_tags", tags)
        for key in given:
            _key("tag", key)
        for key, value in given.items():
            self.tag(key, value)

    def remove_tags(self, tags: Sequence[str]) -> None:
        """Takes tags away.

        Raises:
            UserErrorException: these are no names.
        """
        if not isinstance(tags, Iterable):
            raise UserErrorException(f"remove_tags takes names of tags, not {tags!r}.")
        for key in [tags] if isinstance(tags, str) else tags:
            self._note({"untag": str(key)})

    def get_tags(self) -> Dict[str, Optional[str]]:
        """The tags as they are now."""
        return tags_of(self._notes())

    @property
    def tags(self) -> Dict[str, Optional[str]]:
        """The tags as they are now."""
        return self.get_tags()

    def add_properties(self, properties: Mapping[str, Any]) -> None:
        """Adds properties; one that was set once stays as it is.

        Raises:
            UserErrorException: one of them has another value already or no name, or it is no dict.
        """
        check_mapping("add_properties", properties)
        known = self._properties_so_far()
        for key, value in properties.items():
            if known.get(_key("property", key), str(value)) != str(value):
                raise UserErrorException(
                    f"property {key!r} is {known[str(key)]!r} already; properties do not change.",
                    hint="Use a tag for what changes.",
                )
        for key, value in properties.items():
            self._note({"property": str(key), "value": str(value)})

    def get_properties(self) -> Dict[str, str]:
        """The run's properties."""
        return properties_of(self._notes())

    @property
    def properties(self) -> Dict[str, str]:
        """The run's properties."""
        return self.get_properties()

    def _properties_so_far(self) -> Dict[str, str]:
        """What a new property must not contradict."""
        return self.get_properties()


def make_local_folder(folder: str, where: str) -> None:
    """Makes a folder to download to.

    Raises:
        UserErrorException: there cannot be a folder at that path.
    """
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError as error:
        raise UserErrorException(
            f"{folder!r} cannot be a folder to download to: {error.strerror or error}.",
            where=where,
        ) from error


def _key(kind: str, name: Any) -> str:
    """The name of a tag or property; a number is taken as text, as its value is."""
    if name is None or name == "":
        raise UserErrorException(f"the name of a {kind} is a text, not {name!r}.")
    return str(name)


def _copy_stream(stream: Any, target: str, where: str) -> None:
    with open(target, "wb") as copy:
        data = stream.read(_CHUNK)
        while data:
            if not isinstance(data, (bytes, bytearray, memoryview)):
                raise UserErrorException(
                    f"the stream gives {type(data).__name__}, and a file holds bytes.",
                    where=where,
                    hint='Open the file with mode "rb", or write io.BytesIO(text.encode()).',
                )
            copy.write(data)
            data = stream.read(_CHUNK)


_CHUNK = 1 << 20


def _checked(name: Any) -> str:
    if not isinstance(name, str):
        raise UserErrorException(
            f"{name!r} cannot be the name of a run's file.",
            hint='A name is a path inside the run, such as "outputs/model.pkl".',
        )
    parts = name.replace("\\", "/").split("/")
    longest = max(len(each.encode("utf-8", "surrogatepass")) for each in parts)
    if longest > LONGEST_NAME:
        raise UserErrorException(
            f"{name[:20] + '...'!r} cannot be the name of a run's file: a part of it has {longest} "
            f"bytes, and {LONGEST_NAME} are as many as it can have."
        )
    climbs = ".." in parts or name.startswith("/") or not parts[-1]
    if climbs or "\0" in name or not _is_text(name):
        raise UserErrorException(
            f"{name!r} cannot be the name of a run's file.",
            hint='A name is a path inside the run, such as "outputs/model.pkl".',
        )
    return "/".join(each for each in parts if each not in ("", "."))


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
