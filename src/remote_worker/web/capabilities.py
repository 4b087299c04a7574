"""`/capabilities`: formats, operations and limits in effect, for clients that ask before they upload."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .. import __version__
from ..contract.failures import FailureCode, WorkFailed
from ..contract.formats import OFF, OK, FormatName, FormatReport
from ..contract.limits import Limits
from ..contract.messages import AVATAR_SIZES, OUTPUT_FORMATS
from .answers import json_answer
from .health import Health
from .settings import WebSettings

_SWITCH = ["0", "1"]
_REASONS = {OK: "ok", OFF: "off"}
_UNAVAILABLE = "unavailable"
"""The reason of a format that is on but cannot be read on this machine."""

_ACCEPT = {
    "application/json": "JSON with base64: also what */* and no Accept give",
    "image/*": "the picture's own bytes, from prepare and fit; also by the name of any image type",
    "application/problem+json": "failures as RFC 9457",
}
_TIMES = ("body_seconds", "body_idle_seconds", "work_seconds")


class CapabilityEndpoint:
    """What this worker does, told from what its templates found out and from the settings in effect."""

    def __init__(
        self, health: Callable[[], Awaitable[Health | None]], limits: Limits, settings: WebSettings
    ) -> None:
        self._health = health
        self._limits = asdict(limits) | {name: getattr(settings, name) for name in _TIMES}

    async def tell(self, _: Request) -> Response:
        """All of it. Raises WorkFailed as long as no template has told what it can do."""
        health = await self._health()
        if health is None or not health.formats:
            raise WorkFailed(FailureCode.JAIL_UNAVAILABLE)
        return json_answer(
            {
                "accept": _ACCEPT,
                "formats": {name: _format(report) for name, report in health.formats.items()},
                "limits": self._limits,
                "operations": _operations(health.formats),
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


def _operations(formats: Mapping[str, FormatReport]) -> dict[str, Any]:
    """By name: the path, whether it works at all with the formats that are on, and its switches' values."""

    def works(name: str) -> bool:
        return formats[name].word == OK

    return {
        "prepare_jpeg": {
            "path": "/images/prepare_jpeg",
            "available": works(FormatName.JPEG),
            "switches": {"metadata": ["strip", "keep"]},
        },
        "fit": {
            "path": "/images/fit/{width}x{height}",
            "available": any(map(works, formats)),
            "switches": {
                "animated": _SWITCH,
                "format": [name for name in OUTPUT_FORMATS if works(name)],
                "quality": {"least": 1, "most": 100},
                "simple": _SWITCH,
            },
        },
        "rescale_avatar": {
            "path": "/images/rescale_avatar",
            "available": works(FormatName.PNG),
            "sizes": AVATAR_SIZES,
            "switches": {"animated": _SWITCH},
        },
        "info": {"path": "/images/info", "available": any(map(works, formats)), "switches": {}},
    }
