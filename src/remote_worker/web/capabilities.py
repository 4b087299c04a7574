"""`/capabilities`: formats, operations and limits in effect, for clients that ask before they call."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .. import __version__
from ..contract.failures import FailureCode, WorkFailed
from ..contract.formats import OFF, OK, FormatName, FormatReport
from ..contract.limits import Limits
from ..contract.messages import AVATAR_SIZES, FACTS, GRAVITIES, MODES, OUTPUT_FORMATS
from ..contract.texts import MOST_TEXT_BYTES
from ..service.network import KINDS
from ..service.presets import Presets
from ..service.texts import Texts
from .answers import json_answer
from .health import Health
from .jobs import LONGEST_WAIT_SECONDS, JobUses
from .links import Links
from .network import NetworkUses
from .presets import described
from .presets_only import may_pick
from .settings import WebSettings
from .targets import METHODS

_SWITCH = ["0", "1"]
_REASONS = {OK: "ok", OFF: "off"}
_UNAVAILABLE = "unavailable"
"""The reason of a format that is on but cannot be read on this machine."""

_ACCEPT = {
    "application/json": "JSON with base64: also what */* and no Accept give",
    "image/*": "the picture's own bytes, from prepare, fit and presets of one output; also by the name of "
    "any image type",
    "multipart/mixed": "the pictures' own bytes, from presets",
    "application/problem+json": "failures as RFC 9457",
}
_SOURCES = ["file", "url"]
"""How a picture is given: as an upload, or by its URL."""
_TIMES = ("body_seconds", "body_idle_seconds", "work_seconds")
_OF_JOBS = ("jobs_queue", "jobs_bytes", "jobs_seconds", "jobs_keep_seconds")
_OF_LINKS = ("preview_seconds", "previews_seconds", "previews_at_once")


@dataclass(frozen=True, slots=True, kw_only=True)
class Offered:
    """What is offered besides work on pictures."""

    links: Links
    texts: Texts
    network: NetworkUses
    presets: Presets
    jobs: JobUses

    def limits(self) -> dict[str, float]:
        """Those in effect."""
        return {name: getattr(self.links.settings, name) for name in _OF_LINKS} | {
            "fetched_image_bytes": self.links.image_bytes,
            "text_bytes": MOST_TEXT_BYTES,
            **self._of_jobs(),
        }

    def _of_jobs(self) -> dict[str, float]:
        if self.jobs.jobs is None:
            return {}
        told = {name: getattr(self.jobs.settings, name) for name in _OF_JOBS}
        return told | {"jobs_wait_seconds": LONGEST_WAIT_SECONDS}

    def operations(self) -> dict[str, Any]:
        """By name: the path, whether the settings that it needs are there, and its switches' values."""
        network = self.network
        return {
            "preview": _operation("/links/preview", switches={"explain": _SWITCH, "force": _SWITCH}),
            "previews": _operation("/links/previews", switches={"force": [False, True]}),
            "proxy": _operation(
                "/links/proxy/{signature}/{expiry}/{operation}/{url}", available=self.links.signer.is_on
            ),
            "camo": _operation("/camo/{digest}/{url}", available=self.links.camo.is_on),
            "resolve": _operation("/dns/resolve", switches={"type": KINDS}),
            "ip": _operation("/ip"),
            "ipip": _operation("/ipip/{address}", available=network.geo.is_on),
            "geo": _operation("/geo/{address}", available=network.geo.is_on),
            "ens": _operation("/ens/{name}", available=network.ens.is_on),
            "render_markdown": _operation(
                "/text/render_markdown",
                switches={"proxy_images": _SWITCH if self.texts.proxies_images else _SWITCH[:1]},
            ),
            "job": _operation(
                "/jobs",
                available=self.jobs.jobs is not None,
                switches={"method": METHODS, "callback": self.jobs.calls_back},
            ),
        }


class CapabilityEndpoint:
    """What this worker does, told from what its templates found out and from the settings in effect."""

    def __init__(
        self,
        health: Callable[[], Awaitable[Health | None]],
        offered: Offered,
        limits: Limits,
        settings: WebSettings,
    ) -> None:
        self._health = health
        self._offered = offered.operations()
        self._presets = offered.presets
        self._settings = settings
        times = {name: getattr(settings, name) for name in _TIMES}
        self._limits = {**asdict(limits), **times, **offered.limits()}

    async def tell(self, request: Request) -> Response:
        """All of it. Raises WorkFailed as long as no template has told what it can do."""
        health = await self._health()
        if health is None or not health.formats:
            raise WorkFailed(FailureCode.JAIL_UNAVAILABLE)
        is_picking = may_pick(request, self._settings)
        return json_answer(
            {
                "accept": _ACCEPT,
                "formats": {name: _format(report) for name, report in health.formats.items()},
                "limits": self._limits,
                "operations": _on_pictures(health.formats, is_picking=is_picking) | self._offered,
                "presets": described(self._presets),
                "status": "ok",
                "success": True,
                "version": __version__,
            }
        )


def _format(report: FormatReport) -> dict[str, Any]:
    is_read = report.word == OK
    return {
        "mime": report.mime,
        "read": is_read,
        "reason": _REASONS.get(report.word, _UNAVAILABLE),
        "written": is_read and report.is_written,
        "all_frames": is_read and report.keeps_frames,
    }


def _operation(
    path: str, *, available: bool = True, switches: Mapping[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    return {"path": path, "available": available, "switches": switches or {}, **more}


def _on_pictures(formats: Mapping[str, FormatReport], *, is_picking: bool) -> dict[str, Any]:
    """By name: the path, whether it works at all with what is on, and its switches' values."""

    def works(name: str) -> bool:
        return formats[name].word == OK

    is_any = any(map(works, formats))
    making = {
        "animated": _SWITCH,
        "format": [name for name in OUTPUT_FORMATS if works(name)],
        "quality": {"least": 1, "most": 100},
        "mode": MODES,
        "gravity": GRAVITIES,
        "enlarge": _SWITCH,
    }
    return {
        "prepare_jpeg": _operation(
            "/images/prepare_jpeg",
            available=works(FormatName.JPEG),
            switches={"metadata": ["strip", "keep"]},
            sources=_SOURCES,
        ),
        "fit": _operation(
            "/images/fit/{width}x{height}",
            available=is_any and is_picking,
            switches={**making, "simple": _SWITCH},
            sources=_SOURCES,
        ),
        "rescale_avatar": _operation(
            "/images/rescale_avatar",
            available=works(FormatName.PNG),
            switches={"animated": _SWITCH},
            sizes=AVATAR_SIZES,
            sources=_SOURCES,
        ),
        "info": _operation(
            "/images/info", available=is_any, switches={"metadata": _SWITCH}, sources=_SOURCES
        ),
        "preset": _operation("/images/preset/{name}", available=is_any, sources=_SOURCES),
        "facts": _operation("/images/facts", available=is_any, switches={"facts": FACTS}, sources=_SOURCES),
        "distance": _operation("/images/distance"),
        "image": _operation(
            "/links/image",
            available=is_any,
            switches={
                **(making if is_picking else {}),
                "avatar": AVATAR_SIZES,
                "info": _SWITCH,
                "metadata": _SWITCH,
            },
            sources=["url"],
        ),
    }
