"""Whether a caller may pick sizes and formats, or has presets alone."""

from starlette.requests import Request

from ..contract.failures import FailureCode, WorkFailed
from .settings import WebSettings

PICKING, PRESETS = "images", "presets"
"""What a key may."""


def may_pick(request: Request, settings: WebSettings) -> bool:
    """Whether sizes and formats are not the operator's alone to pick, neither here nor for this key."""
    identity = request.scope["state"].get("identity")
    has_presets_alone = identity is not None and PRESETS in identity.may and PICKING not in identity.may
    return not (settings.only_presets or has_presets_alone)


def check_may_pick(request: Request, settings: WebSettings) -> None:
    """Raises WorkFailed if they are."""
    if not may_pick(request, settings):
        raise WorkFailed(FailureCode.ONLY_PRESETS)
