"""Names that people give, as file names that ``ls`` shows readably, and back."""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote

from airflow_aml.errors import UserErrorException

_LONGEST = 200
_NOT_IN_FILE_NAMES = frozenset('/\\%:*?"<>|#')


def file_name(name: str) -> str:
    """The name with ``%2F`` and the like for what a disk or an object store would not take.

    Letters of every language, digits, spaces, dots and dashes stay.

    Raises:
        UserErrorException: the name is empty or too long.
    """
    text = unicodedata.normalize("NFC", name)
    encoded = "".join(_encoded(each) for each in text)
    if encoded[:1] in (".", " "):  # hidden, or one of the two that mean a folder
        encoded = f"%{ord(encoded[0]):02X}{encoded[1:]}"
    if encoded[-1:] in (".", " "):
        encoded = f"{encoded[:-1]}%{ord(encoded[-1]):02X}"
    if not encoded:
        raise UserErrorException("a name must not be empty.")
    if len(encoded.encode()) > _LONGEST:
        raise UserErrorException(f"the name {name!r} is too long.", hint="Use a shorter one.")
    return encoded


def name_of(encoded: str) -> str:
    """The name that a file name stands for."""
    return unquote(encoded)


def _encoded(character: str) -> str:
    category = unicodedata.category(character)
    if character in _NOT_IN_FILE_NAMES or category in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogatepass"))
    return character
