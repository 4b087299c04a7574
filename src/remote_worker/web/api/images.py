"""The operations under /images/."""

from functools import partial

from ...contract.failures import FailureCode
from ...contract.formats import FormatName
from ...contract.messages import ALWAYS_MADE, AVATAR_SIZES, GRAVITIES, MODES, OUTPUT_FORMATS
from ..answers import MEDIA_TYPES
from .failures import CHECKED, UPLOADING
from .operation import FORM, JSON, MULTIPART, Answer, Group, Operation, Parameter, Schema
from .schemas import (
    BASE64,
    BOX_PATTERN,
    TIMES,
    UPLOADED,
    done,
    flag,
    how_used,
    json_answer,
    members,
    number,
    or_null,
    ref,
    text,
    whole,
    word,
)

_URL = text("Of a picture that is fetched in place of a file; one of both, not both.", format="uri")
UPLOAD: dict[str, Schema] = {
    MULTIPART: {
        "type": "object",
        "properties": {
            "file": text("The picture. Its name and its type are not looked at.", format="binary"),
            "url": _URL,
        },
    },
    FORM: {"type": "object", "properties": {"url": _URL}},
}
"""A picture, or its URL."""
of_a_picture = partial(Operation, method="POST", group=Group.IMAGES, body=UPLOAD, body_required=False)
BY_URL = Parameter("url", "The picture's URL, in place of a body.", text(format="uri"))
ANIMATED = Parameter("animated", "Keep all frames.", ref("Switch"))
FORMAT = Parameter("format", "What to write; without it the upload's own format.", word(*OUTPUT_FORMATS))
QUALITY = Parameter(
    "quality", "Of the encoder; without it, one that suits the format.", whole(minimum=1, maximum=100)
)
PLACING = (
    Parameter("mode", "Inside the box; over it, and cut; inside, and padded; cut unscaled.", word(*MODES)),
    Parameter("gravity", "What stays where something is cut.", word(*GRAVITIES)),
    Parameter(
        "background",
        "Behind what is padded: `rrggbb` or `rrggbbaa`.",
        text(pattern="^([0-9a-fA-F]{6}([0-9a-fA-F]{2})?)?$"),
    ),
    Parameter("enlarge", "Scale up too.", ref("Switch")),
)
"""What else may be said of a box; then `animated` may not be."""
METADATA = Parameter("metadata", "Tell what EXIF, XMP and the like say too.", ref("Switch"))
ANY_PICTURE: dict[str, Schema] = {kind: {} for kind in sorted(MEDIA_TYPES.values())}
"""Bytes of a picture in any format that is written."""

INFO = {
    "format": word(*FormatName, about="Told from the bytes."),
    "width": whole("Pixels, as stored.", minimum=1),
    "height": whole("Pixels, as stored.", minimum=1),
    "display_width": whole("Pixels, standing upright.", minimum=1),
    "display_height": whole("Pixels, standing upright.", minimum=1),
    "frames": whole("Frames of an animation, or pages.", minimum=1),
    "orientation": whole("As of EXIF.", minimum=1, maximum=8),
    "has_alpha": flag("Whether pixels may be transparent."),
    "color_space": text(examples=["rgb"]),
    "bit_depth": whole("Bits of a channel.", minimum=1),
    "has_icc_profile": flag(),
    "has_exif": flag(),
    "has_gps": flag("Whether it says where it was taken."),
    "loop": or_null(whole("How often an animation plays; 0 is for ever.", minimum=0)),
    "duration_ms": or_null(whole("How long an animation takes, in milliseconds.", minimum=0)),
    "binary_size": whole("Bytes of the upload.", minimum=1),
    "mime_type": text("Told from the bytes.", examples=["image/heic"]),
    "metadata": members(
        {
            "exif": {
                "type": "object",
                "description": "By the names of the fields.",
                "additionalProperties": {"anyOf": [text(maxLength=200), number()]},
            },
            "gps": or_null(
                members(
                    {
                        "latitude": number(minimum=-90, maximum=90),
                        "longitude": number(minimum=-180, maximum=180),
                        "altitude": or_null(number("Metres.")),
                    }
                )
            ),
            "xmp": flag("Whether there is any."),
            "iptc": flag("Whether there is any."),
            "comment": flag("Whether there is any."),
            "icc": or_null(text("Of the colour profile.")),
        },
        description="With `metadata`.",
    ),
}

_BOX = Parameter(
    "box",
    "Width and height in pixels, or one number for both.",
    text(pattern=BOX_PATTERN),
    where="path",
    example="800x600",
)
_PREPARED = Answer(
    about="The JPEG.",
    contents={JSON: done({"output": BASE64, "uploaded": UPLOADED}), "image/jpeg": {}},
)
_FITTED = Answer(
    about="The picture.",
    contents={
        JSON: done({**TIMES, "output": BASE64, "uploaded": UPLOADED}),
        "text/plain": BASE64,
        **ANY_PICTURE,
    },
)
_AVATARS = json_answer(
    "The avatars; those larger than the picture are left out.",
    done(
        {**TIMES, **{f"avatar{side}": ref("Avatar") for side in AVATAR_SIZES}, "uploaded": UPLOADED},
        optional=[f"avatar{side}" for side in AVATAR_SIZES if side > ALWAYS_MADE],
    ),
)


def _avatars(path: str, name: str, summary: str) -> Operation:
    return of_a_picture(
        path=path,
        name=name,
        summary=summary,
        about="24, 48 and 73 pixels wide always; 128, 256 and 512 where the picture is that large.",
        parameters=(BY_URL, Parameter("animated", "Keep all frames: APNG.", ref("Switch"))),
        answers=(_AVATARS,),
        failures=(*UPLOADING, *CHECKED, FailureCode.ONLY_PRESETS),
        curl=("-F file=@photo.jpg", path),
    )


OPERATIONS = (
    of_a_picture(
        path="/images/prepare_jpeg",
        name="prepare_jpeg",
        summary="A JPEG without its metadata, upright",
        about=(
            "The picture data is left as it is where that can be. `Accept: image/*` answers with the bytes."
        ),
        parameters=(
            BY_URL,
            Parameter(
                "metadata",
                "`strip` (as without it) takes everything out, `keep` only where the picture was taken.",
                word("strip", "keep"),
            ),
        ),
        answers=(_PREPARED,),
        failures=(*UPLOADING, *CHECKED, FailureCode.NOT_A_JPEG),
        curl=("-H 'Accept: image/*' -F file=@photo.jpg -o clean.jpg", "/images/prepare_jpeg"),
    ),
    how_used("/images/prepare_jpeg", "prepare_jpeg", Group.IMAGES),
    of_a_picture(
        path="/images/fit/{box}",
        name="fit",
        summary="A picture scaled down into a box",
        about=(
            "It stands upright, is not enlarged unless that is asked for, and carries no metadata. "
            "`Accept: image/*` answers with the bytes. A side beyond the longest counts as that."
        ),
        parameters=(
            _BOX,
            BY_URL,
            FORMAT,
            QUALITY,
            ANIMATED,
            *PLACING,
            Parameter("simple", "Answer with the base64 alone, as text.", ref("Switch")),
        ),
        answers=(_FITTED,),
        failures=(*UPLOADING, *CHECKED, FailureCode.NOT_FOUND, FailureCode.ONLY_PRESETS),
        curl=("-H 'Accept: image/*' -F file=@photo.heic -o small.jpg", "/images/fit/800"),
    ),
    how_used("/images/fit/{box}", "fit", Group.IMAGES, _BOX),
    _avatars("/images/rescale_avatar", "rescale_avatar", "Square PNG avatars in up to six sizes"),
    how_used("/images/rescale_avatar", "rescale_avatar", Group.IMAGES),
    _avatars("/images/resize_avatar", "resize_avatar", "The same, by its other name"),
    how_used("/images/resize_avatar", "resize_avatar", Group.IMAGES),
    of_a_picture(
        path="/images/info",
        name="info",
        summary="What a picture's header says",
        about="No pixel is read.",
        parameters=(BY_URL, METADATA),
        answers=(json_answer("What the header says.", done(INFO, optional=("metadata",))),),
        failures=UPLOADING,
        curl=("-F file=@photo.heic", "/images/info"),
    ),
    how_used("/images/info", "info", Group.IMAGES),
)
