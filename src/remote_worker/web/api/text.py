"""The operations under /text/."""

from ...contract.failures import FailureCode
from ...contract.texts import MOST_TEXT_BYTES
from .failures import SENT_JSON
from .operation import JSON, Group, Operation, Parameter
from .schemas import done, flag, how_used, json_answer, members, ref, text, word

OPERATIONS = (
    Operation(
        method="POST",
        path="/text/render_markdown",
        name="render_markdown",
        group=Group.TEXT,
        summary="Markdown as sanitised HTML",
        about="GFM with mentions. There is nothing live in what comes out.",
        parameters=(
            Parameter("proxy_images", "Give pictures signed addresses of this worker.", ref("Switch")),
        ),
        body={
            JSON: members(
                {
                    "text": text(
                        f"Markdown, of {MOST_TEXT_BYTES} bytes at most.",
                        maxLength=MOST_TEXT_BYTES,
                        examples=["Hello **@livid**"],
                    ),
                    "proxy_images": flag("As the parameter."),
                },
                optional=("proxy_images",),
            )
        },
        answers=(
            json_answer(
                "The HTML.",
                done(
                    {
                        "input": text("The Markdown."),
                        "output": text("The HTML."),
                        "message": word("Successfully rendered Markdown"),
                    }
                ),
            ),
        ),
        failures=(
            *SENT_JSON,
            FailureCode.NOT_CONFIGURED,
            FailureCode.DEADLINE,
            FailureCode.JAIL_UNAVAILABLE,
            FailureCode.PARSE_LIMIT,
            FailureCode.DECODER_CRASHED,
            FailureCode.TOO_MUCH_MEMORY,
            FailureCode.OUTPUT_TOO_LARGE,
        ),
        curl=(
            "-H 'Content-Type: application/json' -d '{\"text\": \"Hello **@livid**\"}'",
            "/text/render_markdown",
        ),
    ),
    how_used("/text/render_markdown", "render_markdown", Group.TEXT),
)
