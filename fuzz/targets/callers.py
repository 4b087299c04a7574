"""What clients say of themselves: Host, Origin, Accept and the form's boundary."""

from collections.abc import Callable

from multipart import parse_options_header

from remote_worker.contract.failures import FailureCode, WorkFailed
from remote_worker.web import auth, negotiation
from remote_worker.web.settings import WebSettings

from ..choices import Choices

_SETTINGS = WebSettings(host_names=("images.example",))
_PLAIN = frozenset({"localhost", "images.example", "::1", "[::1]"})
Check = Callable[[auth.Told, WebSettings, str], None]


def host(data: bytes, check_caller: Check = auth.check_caller) -> None:
    """Only this machine's own names pass as Host, and only with an Origin that is the same."""
    choices = Choices(data)
    raw = [(b"host", choices.take(choices.number(0, 40)))]
    if choices.flag():
        raw.append((b"origin", choices.take(choices.number(0, 40))))
    try:
        check_caller(auth.Told(raw), _SETTINGS, "/")
    except WorkFailed as failed:
        assert failed.code is FailureCode.FOREIGN_ORIGIN
        return
    name = raw[0][1].decode("latin-1").lower()
    bare = name.partition("]")[0][1:] if name.startswith("[") else name.partition(":")[0]
    is_ours = bare.removesuffix(".") in _PLAIN or bare.startswith("127.") or _is_loopback_v6(bare)
    assert is_ours, name
    if len(raw) > 1:
        origin = raw[1][1].decode("latin-1").lower()
        assert bare in origin, (name, origin)


def _is_loopback_v6(name: str) -> bool:
    # `::1` has many spellings, also around an IPv4 address, and may carry a zone.
    return set(name.partition("%")[0]) <= set("0123456789abcdef:.") and (
        name.partition("%")[0].endswith("1") or ":ffff:127." in name or ":ffff:7f" in name
    )


def accept(data: bytes) -> None:
    """Any Accept header is either answer, and never both."""
    text = data.decode("latin-1")
    assert negotiation.wants_picture(text) in (True, False)
    assert negotiation.wants_problem(text) in (True, False)


def content_type(data: bytes) -> None:
    """Any Content-Type is taken apart without an error."""
    kind, options = parse_options_header(data.decode("latin-1"))
    assert isinstance(kind, str) and isinstance(options.get("boundary", ""), str)
