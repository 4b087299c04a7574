"""The operations on names and addresses."""

from ...contract.failures import FailureCode
from ...service.ens import LONGEST_NAME
from ...service.network import KINDS
from .operation import Group, Operation, Parameter
from .schemas import done, flag, json_answer, listed, members, number, or_null, text, whole, word

_RESOLVING = (
    FailureCode.BAD_PARAMETER,
    FailureCode.DEADLINE,
    FailureCode.FETCH_UNAVAILABLE,
    FailureCode.RATE_LIMITED,
)
_REASONS = {
    "reason": text("The failure's own code."),
    "reason_detail": text("In a word or a few, what was the matter."),
}
_TEXTS = (
    "country",
    "province",
    "city",
    "org",
    "isp",
    "latitude",
    "longitude",
    "timezone",
    "tz_diff",
    "cn_division_code",
    "calling_code",
    "country_code",
    "continent_code",
)
_FACTS = {
    "ip": text(examples=["8.8.8.8"]),
    "version": {"enum": [4, 6]},
    "special": or_null(text("What a range that belongs to nobody is for.", examples=["private"])),
    "network": or_null(text("Of which all this is said.", examples=["8.8.8.0/24"])),
    "continent": or_null(text()),
    "continent_code": or_null(text()),
    "country": or_null(text()),
    "country_code": or_null(text(examples=["US"])),
    "region": or_null(text()),
    "region_code": or_null(text()),
    "city": or_null(text()),
    "postal_code": or_null(text()),
    "latitude": or_null(number(minimum=-90, maximum=90)),
    "longitude": or_null(number(minimum=-180, maximum=180)),
    "timezone": or_null(text(examples=["America/Chicago"])),
    "asn": or_null(whole("Of the network's owner.", minimum=0)),
    "organization": or_null(text()),
    "isp": or_null(text()),
}

OPERATIONS = (
    Operation(
        method="GET",
        path="/dns/resolve",
        name="resolve",
        group=Group.NETWORK,
        summary="The records of a name",
        parameters=(
            Parameter(
                "domain",
                "A name in any script; for `PTR` an address too.",
                text(minLength=1),
                required=True,
                example="example.com",
            ),
            Parameter("type", "Of the records, in any case; without it `A`.", word(*KINDS)),
        ),
        answers=(
            json_answer(
                "The records.",
                done(
                    {
                        "answers": listed(text(examples=["10 mail.example.com."])),
                        "nameservers": listed(text(), "Who was asked."),
                        "ttl": number("Seconds.", minimum=0),
                        "domain": text("In the form that was asked for."),
                        "type": word(*KINDS),
                    }
                ),
            ),
        ),
        failures=(*_RESOLVING, FailureCode.UNRESOLVED),
        failure_members=_REASONS,
        curl=("", "/dns/resolve?domain=example.com&type=MX"),
    ),
    Operation(
        method="GET",
        path="/ip",
        name="ip",
        group=Group.NETWORK,
        summary="The caller's address",
        about="`X-Forwarded-For` is believed of the proxies in `REMOTE_TRUSTED_PROXIES` alone.",
        answers=(
            json_answer(
                "The address.",
                members(
                    {
                        "ip": or_null(text(examples=["127.0.0.1"])),
                        "ipv4": or_null(text()),
                        "ipv4_available": flag(),
                        "ipv6": or_null(text()),
                        "ipv6_available": flag(),
                        "success": {"const": True},
                    }
                ),
            ),
        ),
        curl=("", "/ip"),
    ),
    Operation(
        method="GET",
        path="/ipip/{address}",
        name="ipip",
        group=Group.NETWORK,
        summary="Where an IPv4 address is, in the members of v2ex/remote",
        about="Everything is text, empty where it is not known. Off without `REMOTE_IPIP_DB_PATH`.",
        parameters=(
            Parameter("address", "", text(format="ipv4", minLength=1), where="path", example="8.8.8.8"),
        ),
        answers=(json_answer("The facts.", done(dict.fromkeys(_TEXTS, text()))),),
        failures=(FailureCode.BAD_PARAMETER, FailureCode.NO_IP_FACTS, FailureCode.NOT_FOUND),
        curl=("", "/ipip/8.8.8.8"),
    ),
    Operation(
        method="GET",
        path="/geo/{address}",
        name="geo",
        group=Group.NETWORK,
        summary="Where an IPv4 or IPv6 address is",
        about="Null stands for what is not known. Special ranges are told without a database.",
        parameters=(
            Parameter(
                "address",
                "",
                {"anyOf": [text(format="ipv4"), text(format="ipv6")]},
                where="path",
                example="8.8.8.8",
            ),
        ),
        answers=(json_answer("The facts.", done(_FACTS)),),
        failures=(FailureCode.BAD_PARAMETER, FailureCode.NO_IP_FACTS, FailureCode.NOT_FOUND),
        curl=("", "/geo/8.8.8.8"),
    ),
    Operation(
        method="GET",
        path="/ens/{name}",
        name="ens",
        group=Group.NETWORK,
        summary="Who owns an ENS name",
        about="Off without `REMOTE_ENS_RPC_URL`.",
        parameters=(
            Parameter(
                "name",
                "Of letters, digits and hyphens, ending with `.eth`.",
                text(minLength=1, maxLength=LONGEST_NAME),
                where="path",
                example="vitalik.eth",
            ),
        ),
        answers=(
            json_answer(
                "The owner.",
                done(
                    {
                        "name": text(),
                        "owner": text("As EIP-55 writes it.", pattern="^0x[0-9a-fA-F]{40}$"),
                        "address": or_null(text(pattern="^0x[0-9a-fA-F]{40}$")),
                    }
                ),
            ),
        ),
        failures=(
            *_RESOLVING,
            FailureCode.ENS_FAILED,
            FailureCode.NOT_CONFIGURED,
            FailureCode.NOT_FOUND,
        ),
        failure_members=_REASONS,
        curl=("", "/ens/vitalik.eth"),
    ),
)
