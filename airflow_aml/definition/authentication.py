"""v1's ways to log in (reference 1.1). Nothing here asks Azure: they open Airflow's REST API.

v1 programs hand such an object to ``Workspace``, where it has no effect, and put its header into
calls of a pipeline's endpoint.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any, Dict

from airflow_aml.definition.engine import API_VARIABLE, api_url
from airflow_aml.definition.setup import is_loading
from airflow_aml.errors import AuthenticationException

_HEADER = "Authorization"
_PLACEHOLDER = "Bearer declared"
"""What a file gets that is only being loaded."""


class _Authentication:
    """What all ways to log in have in common: what they are given has no effect."""

    def get_authentication_header(self) -> Dict[str, str]:
        """The header that opens Airflow's REST API.

        Raises:
            AuthenticationException: this program knows no Airflow.
            UserErrorException: Airflow refuses the token, or user and password.
        """
        if is_loading():
            return {_HEADER: _PLACEHOLDER}
        if not api_url():
            raise AuthenticationException(
                f"{type(self).__name__}: this program works with no Airflow that it could log in "
                "to.",
                hint=f"Set {API_VARIABLE} to its address, and the variables of its user or token.",
            )
        rest = import_module("airflow_aml.airflow.rest").rest()
        return {_HEADER: rest.authorization()}

    def get_token(self, *scopes: str, **_: Any) -> str:
        """The token of that header, whatever it is asked for.

        Raises:
            AuthenticationException: this program knows no Airflow.
        """
        return self.get_authentication_header()[_HEADER].partition(" ")[2]

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class InteractiveLoginAuthentication(_Authentication):
    """v1's login in a browser. Nobody is asked."""

    def __init__(self, force: bool = False, tenant_id: Any = None, cloud: Any = None, **_: Any):
        pass


class ServicePrincipalAuthentication(_Authentication):
    """v1's login of a program. Its password is neither used nor kept."""

    def __init__(
        self,
        tenant_id: Any,
        service_principal_id: Any,
        service_principal_password: Any,
        cloud: Any = "AzureCloud",
        **_: Any,
    ):
        pass


class AzureCliAuthentication(_Authentication):
    """v1's login by ``az login``."""

    def __init__(self, cloud: Any = None, **_: Any):
        pass


class MsiAuthentication(_Authentication):
    """v1's login by the machine's identity."""

    def __init__(self, cloud: Any = None, **_: Any):
        pass


class ArmTokenAuthentication(_Authentication):
    """v1's login by a token. It is neither used nor kept."""

    def __init__(self, arm_access_token: Any, **_: Any):
        pass

    def update_arm_access_token(self, new_arm_access_token: Any) -> None:
        """Has no effect, as the token has none."""


class TokenAuthentication(_Authentication):
    """v1's login by a function that gives tokens. It is not called."""

    def __init__(self, get_token_for_audience: Any, **_: Any):
        pass
