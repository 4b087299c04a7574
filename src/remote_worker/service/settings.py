"""How long previews are kept, with which keys addresses are signed, and where facts come from."""

from dataclasses import dataclass, field

from ..contract.limits import MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkSettings:
    """What links need besides fetching."""

    preview_seconds: float = 12.0
    """One preview with all its fetches."""
    previews_seconds: float = 30.0
    """A whole batch."""
    previews_at_once: int = 50
    """URLs in one batch."""
    cache_path: str = ""
    cache_bytes: int = 64 * MIB
    """In memory, and again as much in the file if there is one."""
    cache_seconds: float = 3600.0
    """How long a page that says nothing else is fresh."""
    proxy_keys: tuple[str, ...] = ()
    """The first signs, all of them open."""
    proxy_seconds: float = 7 * 86_400.0
    """How long a signed address holds at least."""
    public_url: str = ""
    """In front of signed addresses, such as `https://img.example.org`."""
    camo_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkSettings:
    """What is told of names and addresses."""

    ipip_db_path: str = ""
    """An MMDB file."""
    dns_private_answers: bool = False
    ens_rpc_url: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckSettings:
    """Who is asked whether a picture may be given out."""

    external_check_url: str = ""
    """Nobody is asked without one."""
    external_check_seconds: float = 3.0
    external_check_token: str = field(default="", repr=False)
