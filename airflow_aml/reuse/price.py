"""What an hour of computing costs where a site has said so, to tell saved time as money."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from airflow_aml.errors import WorkspaceException
from airflow_aml.workspace.configuration import setting

_PRICE = re.compile(r"(?P<before>[^\d.,+-]*)(?P<amount>\d+(?:\.\d*)?|\.\d+)(?P<after>[^\d.,]*)")


@dataclass(frozen=True)
class Price:
    """Of an hour; ``before`` and ``after`` are the currency as the site writes it."""

    amount: float
    before: str = ""
    after: str = ""

    def of(self, seconds: float) -> float:
        """What that time costs, to the cent."""
        return round(seconds / 3600 * self.amount, 2)

    def text(self, seconds: float) -> str:
        """The same in the site's currency: ``1.25 EUR``, ``$1.25``."""
        return f"{self.before}{self.of(seconds):.2f}{self.after}"


def price(text: str) -> Price | None:
    """The price in a setting: ``2.5``, ``2.5 EUR``, ``$2.50``; None for an empty one.

    Raises:
        WorkspaceException: it is no price.
    """
    if not text.strip():
        return None
    found = _PRICE.fullmatch(text.strip())
    if found is None:
        raise WorkspaceException(
            f"[aml] price_per_hour must be a price such as 2.5 or 2.5 EUR, not {text!r}."
        )
    return Price(float(found["amount"]), found["before"], found["after"])


def configured(environment: Mapping[str, str]) -> Price | None:
    """The price as a process without Airflow finds it: in its environment, else in airflow.cfg.

    Raises:
        WorkspaceException: it is no price.
    """
    return price(setting(environment, "price_per_hour"))
