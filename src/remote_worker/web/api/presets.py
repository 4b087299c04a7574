"""The operations of recipes: presets by their names, facts about pictures, and how far hashes are apart."""

from ...contract.failures import FailureCode
from ...contract.messages import FACTS, GRAVITIES, MODES, OUTPUT_FORMATS
from ..answers import MEDIA_TYPES
from .failures import CHECKED, UPLOADING
from .images import ANY_PICTURE, BY_URL, of_a_picture
from .operation import JSON, Answer, Group, Operation, Parameter, Schema
from .schemas import (
    BASE64,
    TIMES,
    UPLOADED,
    done,
    flag,
    how_used,
    json_answer,
    listed,
    members,
    or_null,
    ref,
    text,
    whole,
    word,
)

_TOLD = members(
    {
        "blurhash": text(
            "A blurred stand-in, of some 30 characters.", examples=["LEHV6nWB2yk8pyo0adR*.7kCMdnj"]
        ),
        "thumbhash": text("A blurred stand-in of some 25 bytes, in base64.", contentEncoding="base64"),
        "colors": listed(text(pattern="^#[0-9a-f]{6}$"), "By their shares.", maxItems=8),
        "phash": text("A perceptual hash: alike for pictures that look alike.", pattern="^[0-9a-f]{16}$"),
    },
    optional=FACTS,
)
_OUTPUT = {
    "format": word(*sorted(MEDIA_TYPES)),
    "width": whole("Pixels.", minimum=1),
    "height": whole("Pixels.", minimum=1),
    "size": whole("Bytes.", minimum=1),
}
_MADE = {
    **TIMES,
    "uploaded": UPLOADED,
    "facts": _TOLD,
    "outputs": {
        "type": "object",
        "description": "By the names of the outputs.",
        "additionalProperties": members({**_OUTPUT, "body": BASE64}),
    },
}
SHARED: dict[str, Schema] = {
    "Preset": members(
        {
            "outputs": listed(
                members(
                    {
                        "name": text(pattern="^[A-Za-z0-9]{1,16}$"),
                        "width": whole("Of the box, in pixels.", minimum=1),
                        "height": whole("Of the box, in pixels.", minimum=1),
                        "mode": word(*MODES),
                        "gravity": word(*GRAVITIES),
                        "background": or_null(text(examples=["ffffff"])),
                        "enlarge": flag(),
                        "format": or_null(word(*OUTPUT_FORMATS)),
                        "quality": or_null(whole(minimum=1, maximum=100)),
                    }
                )
            ),
            "facts": listed(word(*FACTS)),
        }
    )
}
_NAME = Parameter("name", "Of the preset.", text(pattern="^[a-z0-9][a-z0-9-]{0,31}$"), where="path")
_HASH = text(pattern="^[0-9a-fA-F]{16}$")

OPERATIONS = (
    Operation(
        method="GET",
        path="/images/preset",
        name="presets",
        group=Group.IMAGES,
        summary="All presets, and what each makes",
        answers=(
            json_answer(
                "The presets.",
                done(
                    {
                        "presets": {"type": "object", "additionalProperties": ref("Preset")},
                        "only": flag("Whether nothing but presets is made."),
                    }
                ),
            ),
        ),
        curl=("", "/images/preset"),
    ),
    of_a_picture(
        path="/images/preset/{name}",
        name="preset",
        summary="The pictures and facts of a preset, out of one decode",
        about=(
            "`Accept: multipart/mixed` answers with bytes: first a part of JSON with everything else, then "
            "a part for each output, named as it is. `Accept: image/*` does where there is one output alone."
        ),
        parameters=(_NAME, BY_URL),
        answers=(
            Answer(
                about="The pictures and facts.",
                contents={JSON: done(_MADE), "multipart/mixed": text(), **ANY_PICTURE},
            ),
        ),
        failures=(*UPLOADING, *CHECKED, FailureCode.NOT_FOUND),
        curl=("-F file=@photo.jpg", "/images/preset/card"),
    ),
    Operation(
        method="GET",
        path="/images/preset/{name}",
        name="preset_told",
        group=Group.IMAGES,
        summary="What a preset makes",
        parameters=(_NAME,),
        answers=(json_answer("The preset.", done({"preset": ref("Preset")})),),
        failures=(FailureCode.NOT_FOUND,),
        curl=("", "/images/preset/card"),
    ),
    of_a_picture(
        path="/images/facts",
        name="facts",
        summary="Stand-ins, colours and a hash of a picture",
        parameters=(
            BY_URL,
            Parameter(
                "facts",
                f"Of {', '.join(f'`{fact}`' for fact in FACTS)}, with commas; all without it.",
                text(pattern=f"^ *({'|'.join(FACTS)})( *, *({'|'.join(FACTS)}))* *$"),
                example=",".join(FACTS),
            ),
        ),
        answers=(json_answer("The facts.", done({**TIMES, "uploaded": UPLOADED, "facts": _TOLD})),),
        failures=UPLOADING,
        curl=("-F file=@photo.jpg", "/images/facts?facts=blurhash,phash"),
    ),
    how_used("/images/facts", "facts", Group.IMAGES),
    Operation(
        method="GET",
        path="/images/distance",
        name="distance",
        group=Group.IMAGES,
        summary="In how many bits two perceptual hashes differ",
        about="Up to some 10 of 64, pictures mostly look alike.",
        parameters=(
            Parameter("a", "One `phash`.", _HASH, required=True, example="c3d2e1f0a5b49687"),
            Parameter("b", "Another.", _HASH, required=True, example="c3d2e1f0a5b49686"),
        ),
        answers=(json_answer("The distance.", done({"distance": whole(minimum=0, maximum=64)})),),
        failures=(FailureCode.BAD_PARAMETER,),
        curl=("", "/images/distance?a=c3d2e1f0a5b49687&b=c3d2e1f0a5b49686"),
    ),
)
