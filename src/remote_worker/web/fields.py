"""The fields of a small form (application/x-www-form-urlencoded), received within bounds."""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.requests import Request

from ..contract.failures import FailureCode, WorkFailed
from .body import read_in_time
from .budget import Lease
from .settings import WebSettings

FORM_TYPE = "application/x-www-form-urlencoded"
MOST_FORM_BYTES = 32 * 1024
MOST_FIELDS = 32


def is_form(request: Request) -> bool:
    """Whether the body is such a form."""
    return request.headers.get("content-type", "").split(";")[0].strip().lower() == FORM_TYPE


async def read_fields(request: Request, settings: WebSettings, lease: Lease) -> Mapping[str, str]:
    """The fields, of those with one name the first. Raises WorkFailed, or ClientGone."""
    body = bytearray()

    def take(buffer: bytes | bytearray, start: int, end: int) -> None:
        if len(body) + end - start > MOST_FORM_BYTES:
            raise WorkFailed(FailureCode.TOO_LARGE, "the form has too many bytes")
        lease.take(end - start)
        body.extend(memoryview(buffer)[start:end])

    await read_in_time(request, settings, take)
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as broken:
        raise WorkFailed(FailureCode.BAD_REQUEST, "the form cannot be read") from broken
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields.setdefault(name, value)
    return fields


async def read_field(request: Request, settings: WebSettings, lease: Lease, name: str) -> str:
    """One field, empty where the body is no such form. Raises WorkFailed, or ClientGone."""
    if not is_form(request):
        return ""
    return (await read_fields(request, settings, lease)).get(name, "")
