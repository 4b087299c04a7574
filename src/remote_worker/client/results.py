"""What calls give: frozen values, with pictures as bytes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from .errors import WorkerError


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One picture."""

    body: bytes = field(repr=False)
    media_type: str
    """Such as `image/webp`."""

    def save(self, path: str | PathLike[str]) -> None:
        """Write it to a file."""
        Path(path).write_bytes(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Avatars:
    """Square PNG pictures by their side in pixels; `media_type` is the upload's."""

    pictures: Mapping[int, Picture]
    media_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a photo was taken."""

    latitude: float
    longitude: float
    altitude: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a picture says of itself besides its pixels."""

    exif: Mapping[str, str | float]
    location: Location | None
    has_xmp: bool
    has_iptc: bool
    has_comment: bool
    icc: str | None
    """The name of its colour profile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Info:
    """What a picture's header says. `display_width` and `display_height` are those of it upright."""

    format: str
    media_type: str
    bytes: int
    width: int
    height: int
    display_width: int
    display_height: int
    frames: int
    orientation: int
    has_alpha: bool
    color_space: str
    bit_depth: int
    has_icc_profile: bool
    has_exif: bool
    has_gps: bool
    loop: int | None
    duration_ms: int | None
    metadata: Metadata | None
    """Where it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What can be told of a picture at a glance; what was not asked for is empty."""

    blurhash: str = ""
    thumbhash: bytes = b""
    colors: tuple[str, ...] = ()
    """As `#rrggbb`, the most of it first."""
    phash: str = ""
    """64 bits in hex; `Client.distance` compares two."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """One picture of a preset."""

    body: bytes = field(repr=False)
    media_type: str
    format: str
    width: int
    height: int

    def save(self, path: str | PathLike[str]) -> None:
        """Write it to a file."""
        Path(path).write_bytes(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """All that a preset makes of one picture."""

    outputs: Mapping[str, Output]
    facts: Facts
    media_type: str
    """Of what was uploaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedImage:
    """A picture that a page shows."""

    url: str
    width: int | None
    height: int | None
    alt: str | None
    proxy_url: str | None
    """A signed address of the worker for it, where it has a key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a link leads to; `members` is the whole answer."""

    url: str
    final_url: str
    canonical_url: str | None
    title: str | None
    description: str | None
    site_name: str | None
    type: str | None
    lang: str | None
    author: str | None
    published_time: str | None
    theme_color: str | None
    images: tuple[LinkedImage, ...]
    flags: tuple[str, ...]
    embed: Mapping[str, Any] | None
    members: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewLine:
    """One of many previews, or why there is none; `index` is its place among the URLs."""

    index: int
    url: str
    preview: Preview | None
    error: WorkerError | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A request that is answered later; times are seconds of the epoch."""

    id: str
    state: str
    """`queued`, `running`, `done`, or `failed` where its answer is a failure."""
    code: str | None
    """Of that failure."""
    attempts: int
    created: float
    deadline: float
    """It ends as `deadline` if its work has not begun by then."""
    finished: float | None
    result_status: int | None
    request_id: str
    webhook: Mapping[str, Any] | None
    """How telling the callback ended, once it has."""

    @property
    def is_over(self) -> bool:
        """Whether it has its answer."""
        return self.finished is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a job's request was answered."""

    body: bytes = field(repr=False)
    media_type: str

    def json(self) -> Any:
        """What it says, where it is JSON. Raises ValueError where it is not."""
        return json.loads(self.body)

    def save(self, path: str | PathLike[str]) -> None:
        """Write it to a file."""
        Path(path).write_bytes(self.body)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The records of a name."""

    domain: str
    type: str
    answers: tuple[str, ...]
    nameservers: tuple[str, ...]
    ttl: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """From where the worker is called."""

    ip: str | None
    ipv4: str | None
    ipv6: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Geo:
    """Where an address is; None where nobody knows."""

    ip: str
    version: int
    special: str | None
    network: str | None
    continent: str | None
    continent_code: str | None
    country: str | None
    country_code: str | None
    region: str | None
    region_code: str | None
    city: str | None
    postal_code: str | None
    latitude: float | None
    longitude: float | None
    timezone: str | None
    asn: int | None
    organization: str | None
    isp: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnsName:
    """An ENS name."""

    name: str
    owner: str | None
    address: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FormatOffered:
    """What the worker does with a format."""

    media_type: str
    read: bool
    written: bool
    all_frames: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationOffered:
    """One thing that the worker does, and whether the settings that it needs are there."""

    path: str
    available: bool
    switches: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What the worker does, and its limits."""

    version: str
    formats: Mapping[str, FormatOffered]
    operations: Mapping[str, OperationOffered]
    limits: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """Whether the worker can do its work, and why not."""

    is_ready: bool
    reason: str
    formats: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """The worker's load at this moment; `members` is the whole answer."""

    version: str
    stage: str
    uptime: float
    queue: Mapping[str, Mapping[str, float]]
    members: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """Who answers."""

    uid: str
    region: str
    country: str
    uptime: float
