"""What a document's header tells, without a pixel decoded."""

from typing import Any

from ..contract.messages import Info
from . import icc
from .document import Document
from .header import Blocks
from .made import Result
from .metadata import fields, xmp_place


def info(task: Info, document: Document) -> Result:
    """That, and its metadata where it is asked for."""
    header = document.header
    told: dict[str, Any] = {
        "binary_size": len(document.data),
        "mime_type": document.format.mime,
        "format": document.format.name,
        **{name: getattr(header, name) for name in _INFO},
    }
    if task.metadata:
        told["metadata"] = _metadata(header.blocks)
    return Result({}, {"upload": document.told, "info": told})


def _metadata(blocks: Blocks) -> dict[str, Any]:
    name = icc.description(blocks.profile()) if blocks.profile else None
    return {
        "exif": fields.fields(blocks.exif),
        "gps": fields.place(blocks.exif) or xmp_place.place(blocks.placed_xmp),
        "xmp": blocks.has_xmp,
        "iptc": blocks.has_iptc,
        "comment": blocks.has_comment,
        "icc": (fields.printable(name) or None) if name else None,
    }


_INFO = (
    "width",
    "height",
    "display_width",
    "display_height",
    "frames",
    "orientation",
    "has_alpha",
    "color_space",
    "bit_depth",
    "has_icc_profile",
    "has_exif",
    "has_gps",
    "loop",
    "duration_ms",
)
