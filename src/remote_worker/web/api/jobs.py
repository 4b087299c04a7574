"""The operations under /jobs."""

from ...contract.failures import FailureCode
from ...jobs.job import State
from ..jobs import LONGEST_IDEMPOTENCY_KEY, LONGEST_WAIT_SECONDS
from ..targets import METHODS
from .failures import CHECKED, PREVIEWING, SENT_JSON, UPLOADING, URL
from .images import ANY_PICTURE, UPLOAD
from .operation import JSON, NDJSON, Answer, Group, Operation, Parameter, Schema
from .schemas import done, flag, how_used, json_answer, members, number, or_null, ref, text, whole, word

_PLACE = "^/.*jobs/[0-9a-f]{40}"
SHARED: dict[str, Schema] = {
    "Job": done(
        {
            "id": text("Its name, which nobody guesses.", pattern="^[0-9a-f]{40}$"),
            "state": word(
                *State, about="`done` is an answer with a status below 400, `failed` any other answer."
            ),
            "request": members({"method": word(*METHODS), "target": text("Path and query.")}),
            "request_id": text("What its submission and its work are called in the log."),
            "attempts": whole("How often its work has begun.", minimum=0),
            "created": number("When it was submitted, in seconds of the epoch.", examples=[1790000000.25]),
            "deadline": number("When it ends as `deadline` if its work has not begun by then."),
            "finished": or_null(number("When it ended, in seconds of the epoch.")),
            "result": or_null(
                text("The path of its answer, once there is one.", pattern=f"{_PLACE}/result$")
            ),
            "result_status": or_null(whole("The answer's status.", minimum=100, maximum=599)),
            "code": or_null(text("Of the failure that the answer is.")),
            "callback": or_null(text("Who is told of its end.")),
            "webhook": or_null(
                members(
                    {
                        "delivered": flag(),
                        "attempts": whole("How often the callback was called.", minimum=0),
                        "status": whole("Of its last answer; 0 for none."),
                        "code": text("Of the failure, if it is one."),
                        "at": number("When telling ended, in seconds of the epoch."),
                    },
                    description="How telling the callback ended.",
                )
            ),
        }
    ),
}
_ID = Parameter("id", "Of the job.", text(pattern="^[0-9a-f]{40}$"), where="path")
_OFF = (FailureCode.NOT_FOUND, FailureCode.NOT_CONFIGURED)

OPERATIONS = (
    Operation(
        method="POST",
        path="/jobs",
        name="submit_job",
        group=Group.JOBS,
        summary="A request that is answered later",
        about=(
            "Body, `Content-Type`, `Accept`, `Accept-Language` and `Remote-Limits` are those of the request "
            "that it carries. `Location` names the job."
        ),
        parameters=(
            Parameter(
                "request",
                "Path and query of the request, percent-encoded: pictures, presets, facts, previews, "
                "`/links/image` or Markdown.",
                text(pattern='^/(?!/)[!"$-~]*$'),
                required=True,
                example="/images/fit/800?format=webp",
            ),
            Parameter("method", "Its method; without it POST, where the path takes that.", word(*METHODS)),
            Parameter("callback", "A URL that is called once it is done.", text(format="uri")),
            Parameter(
                "Idempotency-Key",
                "Of several submissions with the same key one job is made.",
                text(pattern=f"^[ -~]{{1,{LONGEST_IDEMPOTENCY_KEY}}}$"),
                where="header",
            ),
        ),
        body={**UPLOAD, JSON: {}},
        body_required=False,
        answers=(
            Answer(
                about="It is accepted: it ends in an answer.",
                status=202,
                contents={JSON: ref("Job")},
                headers=("Location",),
            ),
        ),
        failures=(
            *_OFF,
            FailureCode.BAD_PARAMETER,
            FailureCode.METHOD_NOT_ALLOWED,
            FailureCode.TOO_LARGE,
            FailureCode.KEY_REUSED,
            FailureCode.ONLY_PRESETS,
            *URL,
        ),
        curl=("-F file=@photo.jpg", "/jobs?request=/images/fit/800%3Fformat%3Dwebp"),
    ),
    how_used("/jobs", "job", Group.JOBS),
    Operation(
        method="GET",
        path="/jobs/{id}",
        name="job",
        group=Group.JOBS,
        summary="How far a job is",
        about="Only whoever submitted it sees it: for others there is none.",
        parameters=(
            _ID,
            Parameter(
                "wait",
                "Seconds to wait for its end, if it has not ended.",
                number(minimum=0, maximum=int(LONGEST_WAIT_SECONDS)),
            ),
        ),
        answers=(
            Answer(
                about="The job as it is now; with `Retry-After` as long as it has no answer.",
                contents={JSON: ref("Job")},
                headers=("Retry-After",),
            ),
        ),
        failures=(*_OFF, FailureCode.BAD_PARAMETER, FailureCode.DEADLINE),
    ),
    Operation(
        method="DELETE",
        path="/jobs/{id}",
        name="forget_job",
        group=Group.JOBS,
        summary="Forget a job, with its body and its answer",
        parameters=(_ID,),
        answers=(json_answer("It is forgotten.", done({"id": text(), "forgotten": {"const": True}})),),
        failures=_OFF,
    ),
    Operation(
        method="GET",
        path="/jobs/{id}/result",
        name="job_result",
        group=Group.JOBS,
        summary="The answer to the request that a job carries",
        about=(
            "Status, `Content-Type` and bytes are those that the request itself would have got. `X-Job-ID` "
            "tells it from an answer about the job, such as 404 for one that is not there."
        ),
        parameters=(_ID,),
        answers=(
            Answer(
                about="As the operation answers that the job asked for.",
                contents={JSON: {}, "text/plain": {}, "multipart/mixed": {}, NDJSON: {}, **ANY_PICTURE},
                headers=("X-Job-ID",),
            ),
        ),
        failures=(
            *_OFF,
            FailureCode.NOT_READY,
            FailureCode.WORKER_KILLED,
            FailureCode.NOT_A_JPEG,
            FailureCode.ONLY_PRESETS,
            *UPLOADING,
            *PREVIEWING,
            *CHECKED,
            *SENT_JSON,
        ),
    ),
)
