"""The endpoints of recipes: presets by their names, facts about pictures, and how far hashes are apart."""

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from ..contract.document import Document
from ..contract.messages import FACTS, Output, Recipe
from ..service import hashes
from ..service.asked import facts
from ..service.images import Cooked, Images
from ..service.presets import Preset, Presets
from .answers import json_answer, pictures_in_json, pictures_in_parts, raw_picture
from .exchange import exchange_of
from .images import ImageEndpoints
from .negotiation import wants_parts, wants_picture
from .presets_only import may_pick
from .settings import WebSettings

_OK = {"status": "ok", "success": True}
_FACTS_USAGE = (
    "POST an image as the part `file` of multipart/form-data, or its URL as `url`. What is asked for in "
    f"?facts= comes back, out of {', '.join(FACTS)}; all of it without."
)


class PresetEndpoints:
    """One method for each path."""

    def __init__(
        self, presets: Presets, images: Images, pictures: ImageEndpoints, settings: WebSettings
    ) -> None:
        self._presets = presets
        self._images = images
        self._pictures = pictures
        self._settings = settings

    async def listed(self, request: Request) -> Response:
        """All presets, what each makes, and whether the caller has nothing else."""
        only = not may_pick(request, self._settings)
        return json_answer({**_OK, "presets": described(self._presets), "only": only})

    async def make(self, request: Request) -> Response:
        """The pictures and facts of one preset."""
        preset = self._presets.named(request.path_params["name"])
        if request.method != "POST":
            return json_answer({**_OK, "preset": _described(preset)})

        async def use(document: Document, deadline: float, caller: str) -> Cooked:
            return await self._cook(request, preset.recipe, document, deadline, caller)

        done = await self._pictures.do(request, "preset", use)
        cooked = done.result
        accept = request.headers.get("accept", "")
        if len(cooked.pictures) == 1 and wants_picture(accept):
            (picture,) = cooked.pictures.values()
            return raw_picture(picture.body, picture.format, done.share)
        outputs: dict[str, dict[str, Any]] = {
            name: {
                "format": picture.format,
                "width": picture.width,
                "height": picture.height,
                "size": len(picture.body),
            }
            for name, picture in cooked.pictures.items()
        }
        members = {
            **_OK,
            **done.times(),
            **done.uploaded(cooked.mime),
            "facts": cooked.facts,
            "outputs": outputs,
        }
        if wants_parts(accept):
            parts = {name: (picture.body, picture.format) for name, picture in cooked.pictures.items()}
            return pictures_in_parts(members, parts, done.share)
        for name, picture in cooked.pictures.items():
            outputs[name]["body"] = picture.body
        return pictures_in_json(members, done.share)

    async def facts(self, request: Request) -> Response:
        """Facts about a picture, without one."""
        if request.method != "POST":
            return json_answer({**_OK, "usage": _FACTS_USAGE})

        async def use(document: Document, deadline: float, caller: str) -> Cooked:
            recipe = facts(request.query_params)
            return await self._cook(request, recipe, document, deadline, caller)

        done = await self._pictures.do(request, "facts", use)
        cooked = done.result
        return json_answer({**_OK, **done.times(), **done.uploaded(cooked.mime), "facts": cooked.facts})

    async def distance(self, request: Request) -> Response:
        """In how many bits two perceptual hashes differ."""
        query = request.query_params
        return json_answer({**_OK, "distance": hashes.distance(query.get("a", ""), query.get("b", ""))})

    async def _cook(
        self, request: Request, recipe: Recipe, document: Document, deadline: float, caller: str
    ) -> Cooked:
        return await self._images.make(
            document,
            recipe,
            deadline=deadline,
            caller=caller,
            request_id=exchange_of(request).request_id,
        )


def described(presets: Presets) -> dict[str, Any]:
    """By their names, what they make."""
    return {preset.name: _described(preset) for preset in presets}


def _described(preset: Preset) -> Mapping[str, Any]:
    return {
        "outputs": [_output(output) for output in preset.recipe.outputs],
        "facts": preset.recipe.facts,
    }


def _output(output: Output) -> Mapping[str, Any]:
    return {
        "name": output.name,
        "width": output.width,
        "height": output.height,
        "mode": output.mode,
        "gravity": output.gravity,
        "background": output.background or None,
        "enlarge": output.enlarge,
        "format": output.format,
        "quality": output.quality,
    }
