"""The parameters of a request's address; what they ask for, `service.asked` says."""

from urllib.parse import parse_qsl

from starlette.types import Scope


def query(scope: Scope) -> dict[str, str]:
    """The parameters of an address by name, of several with one name the last."""
    return dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
