"""Every limit there is: where it is set, what is answered past it, and the tests that show both sides.

docs/limits.md is made from it, and tests/limits/test_table.py holds it against the code. Run as a program, it
prints the tests of each row as JSON.
"""

import importlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from remote_worker.contract.failures import FailureCode
from remote_worker.contract.limits import MIB
from remote_worker.settings import table, values
from remote_worker.web.problems import PROBLEMS

PAST: dict[FailureCode, str] = {code: f"{problem.status} `{code}`" for code, problem in PROBLEMS.items()}
READERS = "limits/test_readers.py::test_a_reader_takes_as_many_as_its_limit_and_not_one_more"
SERVICE = "limits/test_service.py::"
CONNECTIONS = "web/test_connections.py::"
CALLING = "web/test_authentication.py::"
FORMS = "web/test_forms.py::"
RENDERING = "web/test_rendering.py::"
TEXT = "text/test_bounds.py::"
JSON = "web/test_json_bodies.py::"
FIELDS = "decoder/metadata/test_fields.py::"
TOLD = "pool/test_verify.py::test_metadata_that_is_none_is_refused"
STORES = "stores/test_every_store.py::"
BUCKETS = "stores/test_bucket_store.py::"
RECIPES = "contract/test_messages.py::"
POOL = "pool/test_pool.py::"


@dataclass(frozen=True, slots=True)
class Limit:
    """One row. `place` is a setting (`REMOTE_PIXELS`) or a name in a module (`web.upload:MOST_PARTS`)."""

    about: str
    place: str
    past: FailureCode | str
    """What is answered, or in words what is done."""
    tests: tuple[str, ...] = (READERS,)
    """Below tests/. Together they show what is just inside and what is just past."""

    @property
    def value(self) -> object:
        """As it is in the code."""
        if self.place.startswith(table.PREFIX):
            row = _rows()[self.place]
            return getattr(table.PARTS[row.part](), row.field)
        module, _, path = self.place.partition(":")
        found: object = importlib.import_module(f"remote_worker.{module}")
        for name in path.split("."):
            found = getattr(found, name)
        return found

    @property
    def shown(self) -> str:
        """The value for people."""
        if self.place.startswith(table.PREFIX):
            row = _rows()[self.place]
            return row.default or values.shown(row, self.value)
        value = self.value
        if isinstance(value, int) and "BYTES" in self.place and value % 1024 == 0:
            return f"{value // MIB} MiB" if value % MIB == 0 else f"{value // 1024} KiB"
        return f"{value:,.0f}" if isinstance(value, int | float) else str(value)

    @property
    def answer(self) -> str:
        """What comes past it."""
        return PAST[self.past] if isinstance(self.past, FailureCode) else self.past


def _rows() -> dict[str, table.Row]:
    return {row.name: row for row in table.TABLE}


def markdown(limits: tuple[Limit, ...]) -> str:
    """A table of these limits."""
    lines = ["| limit | value | where | past it | shown by |", "|---|---:|---|---|---|"]
    for limit in limits:
        where = limit.place.replace(":", ".")
        tests = ", ".join(f"`{test.rpartition('::')[2]}`" for test in limit.tests)
        lines.append(f"| {limit.about} | {limit.shown} | `{where}` | {limit.answer} | {tests} |")
    return "\n".join(lines) + "\n"


def every() -> Iterator[Limit]:
    """All rows."""
    for limits in SECTIONS.values():
        yield from limits


_REQUESTS = (
    Limit(
        "connections at once",
        "REMOTE_CONNECTIONS",
        FailureCode.BUSY,
        (
            "web/test_shares.py::test_a_trusted_proxy_may_hold_all_connections",
            "web/test_shares.py::test_past_the_limit_everything_else_is_refused",
        ),
    ),
    Limit(
        "an address, bytes",
        "web.connection:LONGEST_URL",
        FailureCode.URI_TOO_LONG,
        (f"{CONNECTIONS}test_an_address_is_bounded",),
    ),
    Limit(
        "headers of a request",
        "web.connection:MOST_HEADERS",
        FailureCode.HEADERS_TOO_LARGE,
        (f"{CONNECTIONS}test_the_number_of_headers_is_bounded",),
    ),
    Limit(
        "a request's head",
        "web.connection:MOST_HEAD_BYTES",
        FailureCode.HEADERS_TOO_LARGE,
        (f"{CONNECTIONS}test_the_size_of_a_head_is_bounded",),
    ),
    Limit(
        "what a body in chunks has beside its data",
        "web.connection:MOST_FRAMING_BYTES",
        FailureCode.BAD_REQUEST,
        ("web/test_misbehaving.py::test_an_extension_of_a_chunk_is_bounded",),
    ),
    Limit(
        "more of that for each byte of data, bytes",
        "web.connection:MOST_FRAMING_PER_BYTE",
        FailureCode.BAD_REQUEST,
        (
            "web/test_misbehaving.py::test_many_chunks_with_extensions_are_one_body",
            "web/test_misbehaving.py::test_an_extension_of_a_chunk_is_bounded",
        ),
    ),
    Limit(
        "requests taken ahead on a connection",
        "web.connection:MOST_PIPELINED",
        "the connection closes behind the answers to those before",
        (f"{CONNECTIONS}test_only_so_many_requests_are_taken_ahead",),
    ),
    Limit(
        "time for a head",
        "REMOTE_HEAD_SECONDS",
        FailureCode.BODY_TIMEOUT,
        (
            f"{CONNECTIONS}test_a_head_that_does_not_come_ends_the_connection",
            f"{CONNECTIONS}test_the_next_head_has_a_deadline_from_its_first_byte",
        ),
    ),
    Limit(
        "time without a request",
        "REMOTE_KEEP_ALIVE_SECONDS",
        "the connection closes",
        (f"{CONNECTIONS}test_an_idle_connection_ends",),
    ),
    Limit(
        "time for a body",
        "REMOTE_BODY_SECONDS",
        FailureCode.BODY_TIMEOUT,
        (
            f"{FORMS}test_a_body_that_drips_is_refused_in_the_end",
            f"{FORMS}test_a_body_in_chunks_of_one_byte_arrives",
        ),
    ),
    Limit(
        "pause within a body",
        "REMOTE_BODY_IDLE_SECONDS",
        FailureCode.BODY_TIMEOUT,
        (
            f"{FORMS}test_a_slow_body_is_refused_with_408",
            f"{FORMS}test_a_body_in_chunks_of_one_byte_arrives",
        ),
    ),
    Limit(
        "time for queue and work",
        "REMOTE_WORK_SECONDS",
        FailureCode.DEADLINE,
        (
            f"{CONNECTIONS}test_work_that_overruns_its_deadline_is_cancelled_with_504",
            f"{POOL}test_waiting_counts_against_the_deadline",
        ),
    ),
    Limit(
        "time in which a client takes none of its answer",
        "REMOTE_WRITE_IDLE_SECONDS",
        "the connection is cut",
        (
            f"{CONNECTIONS}test_a_client_that_does_not_take_its_answer_is_cut_off",
            f"{CONNECTIONS}test_an_answer_that_no_buffer_holds_reaches_a_slow_reader_whole",
        ),
    ),
    Limit(
        "time for an answer to leave",
        "REMOTE_WRITE_SECONDS",
        "the connection is cut",
        (
            f"{SERVICE}test_an_answer_that_leaves_too_slowly_is_cut_off",
            f"{CONNECTIONS}test_an_answer_that_no_buffer_holds_reaches_a_slow_reader_whole",
        ),
    ),
    Limit(
        "how long a stop waits for requests in hand",
        "REMOTE_SHUTDOWN_SECONDS",
        FailureCode.BUSY,
        (
            "web/test_stages_of_a_stop.py::test_what_is_in_hand_is_finished_and_what_is_new_refused",
            "web/test_stages_of_a_stop.py::test_work_that_takes_longer_than_the_stop_waits_is_ended_with_an_answer",
        ),
    ),
)
_UPLOADS = (
    Limit(
        "a file",
        "REMOTE_INPUT_BYTES",
        FailureCode.TOO_LARGE,
        (f"{FORMS}test_a_file_of_the_limit_passes_and_one_byte_more_does_not",),
    ),
    Limit(
        "what a body may have besides",
        "web.upload:OVERHEAD_BYTES",
        FailureCode.TOO_LARGE,
        (f"{SERVICE}test_a_body_is_so_much_longer_than_its_file_and_not_one_byte_more",),
    ),
    Limit(
        "all uploads and answers in memory",
        "REMOTE_BODIES_BYTES",
        FailureCode.BUSY,
        (f"{FORMS}test_bodies_held_at_once_come_out_of_one_budget_and_it_is_given_back",),
    ),
    Limit(
        "parts of a form",
        "web.upload:MOST_PARTS",
        FailureCode.BAD_REQUEST,
        (f"{FORMS}test_parts_are_bounded",),
    ),
    Limit(
        "headers of a part",
        "web.upload:MOST_PART_HEADERS",
        FailureCode.BAD_REQUEST,
        (f"{FORMS}test_part_headers_are_bounded",),
    ),
    Limit(
        "a part's header",
        "web.upload:LONGEST_PART_HEADER_BYTES",
        FailureCode.BAD_REQUEST,
        (f"{FORMS}test_part_headers_are_bounded",),
    ),
    Limit(
        "a boundary, letters",
        "web.upload:LONGEST_BOUNDARY",
        FailureCode.BAD_REQUEST,
        (f"{SERVICE}test_a_boundary_has_so_many_letters_and_not_one_more",),
    ),
)
_PICTURES = (
    Limit(
        "pixels of a picture",
        "REMOTE_PIXELS",
        FailureCode.TOO_MANY_PIXELS,
        (f"{SERVICE}test_a_picture_has_so_many_pixels_and_not_one_row_more",),
    ),
    Limit(
        "a side, pixels",
        "REMOTE_SIDE_PIXELS",
        FailureCode.TOO_MANY_PIXELS,
        (f"{SERVICE}test_a_side_is_so_long_and_not_one_pixel_longer",),
    ),
    Limit(
        "the longest side that may be set or asked for, pixels",
        "contract.limits:LONGEST_SIDE",
        "a longer box is taken as this; a longer setting stops the start",
        (
            "test_settings.py::test_the_longest_side_goes_up_to_what_formats_can_say",
            "test_settings.py::test_the_longest_side_stops_there",
            "web/test_endpoints.py::test_a_box_of_any_size_is_taken",
        ),
    ),
    Limit(
        "frames, where all are asked for",
        "REMOTE_FRAMES",
        FailureCode.TOO_MANY_FRAMES,
        (f"{SERVICE}test_an_animation_has_so_many_frames_and_not_one_more",),
    ),
    Limit(
        "pixels over all frames",
        "REMOTE_ANIMATION_PIXELS",
        FailureCode.TOO_MANY_PIXELS,
        (f"{SERVICE}test_an_animation_has_so_many_pixels_in_all",),
    ),
    Limit(
        "pictures of a recipe",
        "contract.messages:MOST_OUTPUTS",
        "it is no recipe",
        (
            f"{RECIPES}test_a_recipe_is_the_same_on_the_other_side_and_fits_into_a_message",
            f"{RECIPES}test_a_recipe_that_cannot_be_is_refused",
        ),
    ),
    Limit(
        "dominant colours that are told",
        "contract.messages:MOST_COLORS",
        "the rest is left out",
        ("decoder/test_facts.py::test_the_eight_commonest_of_many_colours_are_told",),
    ),
    Limit(
        "all that one decode gives",
        "REMOTE_OUTPUT_BYTES",
        FailureCode.OUTPUT_TOO_LARGE,
        (
            f"{SERVICE}test_a_reply_is_as_long_as_the_limit_and_not_one_byte_longer",
            f"{SERVICE}test_outputs_that_fit_are_answered_and_larger_ones_are_not",
        ),
    ),
    Limit(
        "memory of a decode",
        "REMOTE_MEMORY_BYTES",
        FailureCode.TOO_MUCH_MEMORY,
        (f"{SERVICE}test_a_decode_has_memory_for_some_megapixels_and_not_for_many",),
    ),
    Limit(
        "time of a decode",
        "REMOTE_DECODE_SECONDS",
        FailureCode.DEADLINE,
        (f"{POOL}test_work_that_takes_too_long_is_killed",),
    ),
    Limit(
        "processor time of a decode",
        "REMOTE_CPU_SECONDS",
        FailureCode.DEADLINE,
        (
            f"{POOL}test_processor_time_is_a_limit_of_its_own",
            f"{POOL}test_a_benign_document_is_answered",
        ),
    ),
    Limit(
        "decodes at once; others wait",
        "REMOTE_CHILDREN",
        "it waits for its turn",
        (f"{POOL}test_one_more_than_the_queue_holds_is_told_to_come_back",),
    ),
    Limit(
        "uploads that wait for each decode at once",
        "REMOTE_WAITING_PER_CHILD",
        FailureCode.BUSY,
        (f"{POOL}test_one_more_than_the_queue_holds_is_told_to_come_back",),
    ),
    Limit(
        "the `Retry-After` of a full queue",
        "pool.queue:_LONGEST_WAIT_SECONDS",
        "no longer wait is asked for",
        (
            "pool/test_queue.py::test_the_refused_are_told_to_come_back_one_after_the_other",
            "pool/test_queue.py::test_before_anything_is_known_a_second_is_told",
        ),
    ),
    Limit(
        "callers that left whose use is remembered",
        "pool.queue:_MOST_DEBTS",
        "those who used least are forgotten",
        ("pool/test_queue.py::test_callers_that_left_are_forgotten",),
    ),
    Limit(
        "time for a template to get ready",
        "REMOTE_START_SECONDS",
        "the start ends with status 78",
        (f"{SERVICE}test_a_template_that_is_not_ready_in_its_time_is_given_up",),
    ),
)
_DAMAGED = FailureCode.DAMAGED
_NOT_READ = "what is behind it is not read"
_HEADERS = (
    Limit("SVG: text, also inflated", "decoder.headers.svg_text:MOST_BYTES", _DAMAGED),
    Limit("SVG: inflated text, whatever its ratio", "decoder.headers.svg_text:UNSUSPICIOUS_BYTES", _DAMAGED),
    Limit("SVG: inflated bytes to deflated ones, past that", "decoder.headers.svg_text:MOST_RATIO", _DAMAGED),
    Limit("SVG: characters up to the root", "decoder.headers.svg_text:MOST_PROLOG_CHARACTERS", _DAMAGED),
    Limit("SVG: entities", "decoder.headers.svg_text:MOST_ENTITIES", _DAMAGED),
    Limit("SVG: characters of an entity", "decoder.headers.svg_text:MOST_ENTITY_CHARACTERS", _DAMAGED),
    Limit("SVG: characters of the root's tag", "decoder.headers.svg:MOST_TAG_CHARACTERS", _DAMAGED),
    Limit("SVG: a natural side, pixels", "decoder.headers.svg:LONGEST_SIDE", _DAMAGED),
    Limit(
        "SVG: characters of a stated length",
        "decoder.headers.svg:MOST_LENGTH_CHARACTERS",
        "it counts as not stated",
    ),
    Limit("SVG: nested elements", "decoder.loaders.svg:_MOST_DEPTH", _DAMAGED),
    Limit(
        "SVG without a size: characters looked at", "decoder.headers.svg_extent:MOST_CHARACTERS", _NOT_READ
    ),
    Limit("SVG without a size: elements looked at", "decoder.headers.svg_extent:MOST_ELEMENTS", _NOT_READ),
    Limit("SVG without a size: depth looked at", "decoder.headers.svg_extent:MOST_DEPTH", _NOT_READ),
    Limit("SVG without a size: numbers looked at", "decoder.headers.svg_extent:MOST_NUMBERS", _NOT_READ),
    Limit("HEIF, AVIF, JPEG 2000, JPEG XL: boxes", "decoder.headers.isobmff:MOST_BOXES", _DAMAGED),
    Limit("HEIF, AVIF, JPEG 2000, JPEG XL: XMP", "decoder.headers.isobmff:MOST_XMP_BYTES", _NOT_READ),
    Limit("HEIF, AVIF: items", "decoder.headers.heif_items:MOST_ITEMS", _DAMAGED),
    Limit("HEIF, AVIF: references", "decoder.headers.heif_items:MOST_REFERENCES", _DAMAGED),
    Limit("HEIF, AVIF: pieces of an item", "decoder.headers.heif_items:MOST_EXTENTS", "it is not read"),
    Limit("HEIF, AVIF: metadata items", "decoder.headers.heif_items:MOST_METADATA_ITEMS", _NOT_READ),
    Limit("HEIF, AVIF: EXIF", "decoder.headers.heif_items:MOST_EXIF_BYTES", _NOT_READ),
    Limit("AVIF: tracks", "decoder.headers.heif_track:MOST_TRACKS", _DAMAGED),
    Limit("AVIF: durations of frames", "decoder.headers.heif_track:MOST_DURATIONS", _DAMAGED),
    Limit("JPEG 2000: components", "decoder.headers.jp2:MOST_COMPONENTS", _DAMAGED),
    Limit("JPEG 2000: EXIF", "decoder.headers.jp2:MOST_EXIF_BYTES", "it is not read"),
    Limit("JPEG 2000: bits a sample", "decoder.loaders.jp2:_MOST_BITS", _DAMAGED),
    Limit("JPEG 2000: markers up to the coding style", "decoder.loaders.jp2:_MOST_MARKERS", _DAMAGED),
    Limit("JPEG XL: extra channels", "decoder.headers.jxl_codestream:MOST_EXTRA_CHANNELS", _DAMAGED),
    Limit("JPEG XL: EXIF", "decoder.headers.jxl:MOST_EXIF_BYTES", "it is not read"),
    Limit("JPEG XL: frames counted", "decoder.headers.jxl_frames:MOST_FRAMES", "they are not counted"),
    Limit(
        "JPEG XL: sections of counted frames",
        "decoder.headers.jxl_frames:MOST_SECTIONS",
        "they are not counted",
        ("limits/test_readers.py::test_jpeg_xl_frames_are_counted_up_to_so_many_sections",),
    ),
    Limit(
        "PNG: a side or a chunk",
        "decoder.headers.png:LONGEST",
        _DAMAGED,
        ("decoder/headers/test_png_header.py::test_a_side_is_1_to_2147483647",),
    ),
    Limit("PNG: chunks of metadata", "decoder.headers.png:MOST_METADATA_CHUNKS", _NOT_READ),
    Limit("PNG: inflated text", "decoder.headers.png:INFLATED_BYTES", _NOT_READ),
    Limit("WebP: chunks of metadata", "decoder.headers.webp:MOST_METADATA_CHUNKS", _NOT_READ),
    Limit("GIF: XMP", "decoder.headers.gif:MOST_XMP_BYTES", _NOT_READ),
    Limit("TIFF: pages", "decoder.headers.tiff:MOST_PAGES", _DAMAGED),
    Limit("TIFF: fields of a page", "decoder.headers.tiff:MOST_ENTRIES", _NOT_READ),
    Limit("TIFF: values of a field", "decoder.headers.tiff:MOST_VALUES", _NOT_READ),
    Limit("ICO: pictures", "decoder.headers.ico:MOST_ENTRIES", _DAMAGED),
    Limit("ICNS: elements", "decoder.headers.icns:MOST_ELEMENTS", _DAMAGED),
    Limit("JPEG: segments", "decoder.jpeg_bytes:MOST_SEGMENTS", _DAMAGED),
)
_METADATA = (
    Limit(
        "fields of metadata that are told",
        "contract.messages:MOST_FIELDS",
        FailureCode.DECODER_CRASHED,
        ("pool/test_verify.py::test_all_the_fields_that_may_be_told_pass", TOLD),
    ),
    Limit(
        "characters of a field that are told",
        "contract.messages:MOST_FIELD_CHARACTERS",
        "the rest is left out",
        (f"{FIELDS}test_long_text_is_told_up_to_a_length", TOLD),
    ),
    Limit(
        "bytes of a field's value",
        "decoder.metadata.fields:MOST_VALUE_BYTES",
        "the rest is not read",
        (f"{FIELDS}test_so_much_of_a_value_is_read_and_no_more",),
    ),
    Limit(
        "numbers of a field that are told",
        "decoder.metadata.fields:MOST_VALUES",
        "the rest is left out",
        (f"{FIELDS}test_so_many_numbers_of_a_field_are_told",),
    ),
    Limit(
        "all fields that are told, as JSON",
        "decoder.metadata.fields:MOST_TOLD_BYTES",
        "the rest is left out",
        (f"{FIELDS}test_all_fields_together_stay_short",),
    ),
    Limit(
        "an ICC profile that is asked for its name, of a PNG",
        "decoder.headers.png:PROFILE_BYTES",
        "the rest is not read",
        (f"{FIELDS}test_a_profile_of_a_png_is_inflated_up_to_a_length",),
    ),
    Limit(
        "the name of an ICC profile",
        "decoder.icc:_MOST_NAME_BYTES",
        "the rest is left out",
        (f"{FIELDS}test_a_long_name_of_a_profile_is_cut",),
    ),
    Limit("blocks of one kind", "decoder.headers:Metadata.MOST_BLOCKS", _NOT_READ),
    Limit("XMP in all", "decoder.headers:Metadata.MOST_XMP_BYTES", "the packet is not read"),
    Limit("an XMP packet that is kept", "decoder.metadata.xmp:MOST_BYTES", "it is left out"),
    Limit("an EXIF block that is kept", "decoder.metadata.exif:MOST_BYTES", "it is left out"),
    Limit("EXIF: entries", "decoder.metadata.exif:MOST_ENTRIES", _NOT_READ),
    Limit("EXIF: directories", "decoder.metadata.exif:MOST_DIRECTORIES", _NOT_READ),
    Limit("EXIF: blocks within the block", "decoder.metadata.exif:MOST_INNER_BLOCKS", _NOT_READ),
    Limit("EXIF: XMP within the block", "decoder.metadata.exif:MOST_XMP_BYTES", "it is not read"),
    Limit("IPTC: datasets", "decoder.metadata.iptc:MOST_DATASETS", _NOT_READ),
    Limit("Photoshop: resources", "decoder.metadata.iptc:MOST_RESOURCES", _NOT_READ),
    Limit("film within a JPEG: boxes", "decoder.metadata.mp4:MOST_BOXES", _NOT_READ),
    Limit("film within a JPEG: nested boxes", "decoder.metadata.mp4:MOST_DEPTH", _NOT_READ),
    Limit("film within a JPEG: keys", "decoder.metadata.mp4:MOST_KEYS_BYTES", _NOT_READ),
    Limit(
        "an ICC profile that is applied", "decoder.color:_MOST_PROFILE_BYTES", "the colours stay as they are"
    ),
    Limit("ICC: tags", "decoder.icc:_MOST_TAGS", _NOT_READ),
)
_HOSTILE = FailureCode.DECODER_CRASHED
_REPLIES = (
    Limit(
        "parts",
        "contract.wire:MOST_PARTS",
        _HOSTILE,
        ("contract/test_wire.py::test_sixty_four_parts_pass_and_one_more_does_not",),
    ),
    Limit(
        "the facts as JSON",
        "contract.wire:JSON_BYTES",
        _HOSTILE,
        ("contract/test_wire.py::test_json_may_be_eight_deep_and_sixty_four_kibibytes_long",),
    ),
    Limit(
        "their depth",
        "contract.wire:JSON_DEPTH",
        _HOSTILE,
        ("contract/test_wire.py::test_json_may_be_eight_deep_and_sixty_four_kibibytes_long",),
    ),
    Limit("numbers of info, below", "pool.verify:_MOST_NUMBER", _HOSTILE),
    Limit("frames of a picture", "pool.verify:_MOST_FRAMES", _HOSTILE),
    Limit(
        "numbers that a page passes on",
        "pool.verify_page:_MOST_NUMBER",
        _HOSTILE,
        ("pool/test_verify_page.py::test_numbers_of_a_page_are_bounded",),
    ),
)
_PAGE = "decoder/page/test_read.py::"
_SCANNER = "decoder/page/test_scanner.py::"
_OEMBED = "decoder/page/test_oembed.py::"
_CUT = "it is cut at a word"
_LIST = f"{_PAGE}test_a_list_is_so_long_at_most"
_LEFT_OUT = "it is left out"
_VERIFIED = "pool/test_verify_page.py::test_anything_else_is_hostile"
_PAGES = (
    Limit(
        "a title, characters", "contract.pages:LONGEST_TITLE", _CUT, (f"{_PAGE}test_text_is_so_long_at_most",)
    ),
    Limit(
        "a description, characters",
        "contract.pages:LONGEST_DESCRIPTION",
        _CUT,
        (f"{_PAGE}test_text_is_so_long_at_most",),
    ),
    Limit(
        "a name or an alternative text, characters",
        "contract.pages:LONGEST_NAME",
        _CUT,
        (f"{_PAGE}test_text_is_so_long_at_most",),
    ),
    Limit(
        "an address, characters",
        "contract.pages:LONGEST_URL",
        _LEFT_OUT,
        ("decoder/page/test_read.py::test_an_address_is_so_long_at_most", _VERIFIED),
    ),
    Limit(
        "a property passed on, characters",
        "contract.pages:LONGEST_RAW",
        "it is cut",
        (f"{_PAGE}test_a_property_is_passed_on_up_to_a_length",),
    ),
    Limit("pictures", "contract.pages:MOST_IMAGES", _NOT_READ, (_LIST,)),
    Limit("icons", "contract.pages:MOST_ICONS", _NOT_READ, (_LIST,)),
    Limit("films, sounds, addresses of oEmbed, of each", "contract.pages:MOST_MEDIA", _NOT_READ, (_LIST,)),
    Limit(
        "a side in pixels",
        "contract.pages:LARGEST_SIDE",
        "it counts as not stated",
        (f"{_PAGE}test_a_side_is_so_large_at_most",),
    ),
    Limit(
        "tags",
        "decoder.page.scanner:MOST_TAGS",
        _NOT_READ,
        (f"{_SCANNER}test_only_so_many_tags_are_looked_at",),
    ),
    Limit(
        "tags that say something",
        "decoder.page.scanner:MOST_FOUND",
        _NOT_READ,
        (f"{_SCANNER}test_only_so_many_tags_are_kept", f"{_PAGE}test_the_2001st_tag_is_not_read"),
    ),
    Limit(
        "attributes of a tag",
        "decoder.page.scanner:MOST_ATTRIBUTES",
        _NOT_READ,
        (f"{_SCANNER}test_only_so_many_attributes_of_a_tag_are_read",),
    ),
    Limit(
        "characters of an attribute or a title, as written",
        "decoder.page.scanner:LONGEST_VALUE",
        _NOT_READ,
        (f"{_SCANNER}test_only_so_much_of_a_value_is_read",),
    ),
    Limit(
        "characters of attributes with entities, in all",
        "decoder.page.scanner:MOST_ENTITY_CHARACTERS",
        "they are empty",
        (f"{_SCANNER}test_entities_are_decoded_in_so_many_characters_of_values",),
    ),
    Limit(
        "properties passed on",
        "decoder.page.fields:MOST_RAW",
        _LEFT_OUT,
        (f"{_PAGE}test_so_many_properties_are_passed_on",),
    ),
    Limit(
        "names of a meta",
        "decoder.page.fields:MOST_NAMES",
        _NOT_READ,
        (f"{_PAGE}test_a_tag_has_so_many_names",),
    ),
    Limit(
        "characters of a heading or a paragraph, as written",
        "decoder.page.body:LONGEST_PIECE",
        _NOT_READ,
        (f"{_PAGE}test_a_body_piece_is_read_up_to_a_length",),
    ),
    Limit(
        "pictures of a body that are compared",
        "decoder.page.body:_MOST_IMAGES",
        _NOT_READ,
        (f"{_PAGE}test_so_many_pictures_of_a_body_are_compared",),
    ),
    Limit(
        "characters in which marks of walls are looked for",
        "decoder.page.walls:_MOST_LOOKED_AT",
        _NOT_READ,
        (f"{_PAGE}test_marks_of_a_wall_are_looked_for_up_to_a_length",),
    ),
    Limit(
        "JSON-LD: blocks looked at",
        "decoder.page.json_ld:MOST_BLOCKS",
        _NOT_READ,
        (f"{_PAGE}test_blocks_of_json_ld_are_looked_at_and_kept_up_to_a_number",),
    ),
    Limit(
        "JSON-LD: blocks kept",
        "decoder.page.json_ld:MOST_KEPT",
        _NOT_READ,
        (f"{_PAGE}test_blocks_of_json_ld_are_looked_at_and_kept_up_to_a_number",),
    ),
    Limit(
        "JSON-LD: characters in all",
        "decoder.page.json_ld:MOST_CHARACTERS",
        _NOT_READ,
        (f"{_PAGE}test_json_ld_is_read_up_to_a_length",),
    ),
    Limit(
        "JSON-LD: nested levels of a block",
        "decoder.page.json_ld:DEEPEST_READ",
        _NOT_READ,
        (f"{_PAGE}test_json_ld_is_nested_sixty_four_deep_at_most",),
    ),
    *(
        Limit(
            f"JSON-LD passed on: {about}",
            f"decoder.page.json_ld:{name}",
            _LEFT_OUT,
            (f"{_PAGE}test_json_ld_is_cut_in_depth_members_and_nodes",),
        )
        for about, name in (
            ("values in all", "MOST_NODES"),
            ("members of an object or a list", "MOST_MEMBERS"),
            ("nested levels", "DEEPEST"),
        )
    ),
    Limit(
        "oEmbed: the answer",
        "decoder.page.oembed:MOST_BYTES",
        _DAMAGED,
        (f"{_OEMBED}test_an_answer_is_so_long_at_most",),
    ),
    Limit(
        "oEmbed: nested levels",
        "decoder.page.oembed:DEEPEST",
        _DAMAGED,
        (
            f"{_OEMBED}test_json_is_nested_32_deep_at_most",
            f"{_OEMBED}test_xml_is_nested_32_deep_at_most",
        ),
    ),
)
_DOOR_TESTS = "fetch/test_door.py::"
_GATE = "fetch/test_politeness.py::"
_NAMES = "fetch/test_resolver.py::"
_TOLD = "fetch/test_replies.py::test_a_reply_tells_so_much_and_not_one_more"
_LOST = FailureCode.FETCH_UNAVAILABLE
_DOOR = (
    Limit(
        "fetches at once",
        "REMOTE_FETCHES",
        FailureCode.BUSY,
        (f"{_DOOR_TESTS}test_past_so_many_fetches_the_next_is_refused",),
    ),
    Limit(
        "previews of a site, a second",
        "REMOTE_SITE_PER_SECOND",
        FailureCode.RATE_LIMITED,
        (
            f"{_GATE}test_who_cannot_wait_for_its_turn_is_refused_at_once",
            f"{_GATE}test_a_burst_passes_at_once_and_then_one_a_second",
        ),
    ),
    Limit(
        "previews of a site at a stroke",
        "REMOTE_SITE_BURST",
        "the next waits for its turn",
        (f"{_GATE}test_a_burst_passes_at_once_and_then_one_a_second",),
    ),
    Limit(
        "requests to a site at once",
        "REMOTE_SITE_IN_FLIGHT",
        "the next waits for its turn",
        (f"{_GATE}test_so_many_are_at_a_site_at_once_and_the_others_come_in_order",),
    ),
    Limit(
        "requests to a public address at once",
        "REMOTE_ADDRESS_IN_FLIGHT",
        "the next waits for its turn",
        (
            f"{_GATE}test_so_many_are_at_a_public_address_at_once",
            f"{_GATE}test_only_the_address_that_was_reached_is_occupied",
        ),
    ),
    Limit(
        "sites that are remembered",
        "fetch.process.politeness:MOST_SITES",
        "the one not heard of for longest is forgotten",
        (f"{_GATE}test_only_so_many_sites_are_remembered_and_those_in_use_are",),
    ),
    Limit(
        "how long a server may ask to be left alone, seconds",
        "fetch.process.politeness:LONGEST_CLOSED_SECONDS",
        "no longer",
        (f"{_GATE}test_a_server_is_left_alone_as_long_as_it_asks",),
    ),
    Limit(
        "connections to an origin that fail in a row",
        "fetch.process.politeness:MOST_FAILURES",
        "it is left alone for a minute",
        (
            f"{_GATE}test_five_failures_in_a_row_close_a_site_for_a_minute",
            f"{_GATE}test_what_fails_is_one_origin_and_no_other_of_its_site",
        ),
    ),
    Limit(
        "time for a name",
        "REMOTE_DNS_SECONDS",
        FailureCode.TIMEOUT,
        (f"{_NAMES}test_what_leads_to_no_address_has_its_code_within_the_time",),
    ),
    Limit(
        "addresses of a name",
        "fetch.process.resolver:MOST_ADDRESSES",
        FailureCode.DNS_FAILED,
        (
            f"{_NAMES}test_what_leads_to_no_address_has_its_code_within_the_time",
            f"{_NAMES}test_sixteen_addresses_and_eight_aliases_are_fine",
        ),
    ),
    Limit(
        "aliases of a name in a row",
        "fetch.process.dns_message:MOST_CNAMES",
        FailureCode.DNS_CHAIN,
        (
            f"{_NAMES}test_what_leads_to_no_address_has_its_code_within_the_time",
            f"{_NAMES}test_sixteen_addresses_and_eight_aliases_are_fine",
        ),
    ),
    Limit(
        "pointers of a name in an answer",
        "fetch.process.dns_message:_MOST_POINTERS",
        FailureCode.DNS_FAILED,
        (f"{_NAMES}test_a_name_points_on_so_many_times",),
    ),
    Limit(
        "records of an answer",
        "fetch.process.dns_message:MOST_RECORDS",
        FailureCode.DNS_FAILED,
        (f"{_NAMES}test_an_answer_has_at_most_64_records",),
    ),
    Limit(
        "a name in an answer, bytes",
        "fetch.process.dns_message:_LONGEST_NAME",
        FailureCode.DNS_FAILED,
        (f"{_NAMES}test_a_name_in_an_answer_has_at_most_255_bytes",),
    ),
    Limit(
        "names that are asked for at once, until they are answered or 100 ms are over",
        "fetch.process.resolver:MOST_ASKED_AT_ONCE",
        "the next one waits for its turn",
        (f"{_NAMES}test_64_lookups_are_asked_at_once_and_silence_holds_up_no_others",),
    ),
    Limit(
        "names that are kept",
        "fetch.process.resolver:MOST_CACHED",
        "the oldest is asked for again",
        (f"{_NAMES}test_so_many_names_are_kept",),
    ),
    Limit(
        "how long a name is kept, seconds",
        "fetch.process.resolver:LONGEST_CACHED_SECONDS",
        "it is asked for again",
        (f"{_NAMES}test_no_answer_is_kept_longer_than_a_minute",),
    ),
    Limit(
        "arrays and objects of a reply within each other",
        "fetch.messages:DEEPEST",
        _LOST,
        ("fetch/test_replies.py::test_a_reply_is_nested_so_deep_and_not_one_deeper",),
    ),
    Limit("a URL in a reply", "fetch.messages:LONGEST_URL", _LOST, (_TOLD,)),
    Limit("a detail or another word in a reply", "fetch.messages:LONGEST_DETAIL", _LOST, (_TOLD,)),
    Limit("a header in a reply", "fetch.messages:LONGEST_HEADER", _LOST, (_TOLD,)),
    Limit("headers in a reply", "fetch.messages:MOST_HEADERS", _LOST, (_TOLD,)),
    Limit("hops in a reply", "fetch.messages:MOST_HOPS", _LOST, (_TOLD,)),
    Limit("verdicts of a hop", "fetch.messages:MOST_VERDICTS", _LOST, (_TOLD,)),
    Limit("records of a name in a reply", "fetch.messages:MOST_ANSWERS", _LOST, (_TOLD,)),
    Limit("a record in a reply", "fetch.messages:LONGEST_ANSWER", _LOST, (_TOLD,)),
    Limit("a number in a reply", "fetch.messages:_MOST", _LOST, (_TOLD,)),
)
_LENGTHS = ("fetch/test_url.py::test_a_host_a_label_and_a_url_have_a_longest_length",)
_URLS = (
    Limit("a URL, also escaped, bytes", "fetch.url:LONGEST_URL_BYTES", FailureCode.TOO_LONG, _LENGTHS),
    Limit("its host, characters", "fetch.url:LONGEST_HOST", FailureCode.TOO_LONG, _LENGTHS),
    Limit("a label of its host, characters", "fetch.url:LONGEST_LABEL", FailureCode.TOO_LONG, _LENGTHS),
    Limit(
        "URLs whose reading is remembered",
        "fetch.url:MOST_REMEMBERED",
        "the one not asked for for longest is read again",
        ("fetch/test_url.py::test_only_so_many_urls_are_remembered",),
    ),
)
TEXTS = "pool/test_texts.py::"
_PAGES_AND_POSTS = (
    Limit(
        "processor time of a page or post",
        "REMOTE_TEXT_CPU_SECONDS",
        FailureCode.PARSE_LIMIT,
        (f"{TEXTS}test_a_text_may_use_its_processor_time_and_no_more",),
    ),
    Limit(
        "its time by the clock",
        "REMOTE_TEXT_SECONDS",
        FailureCode.DEADLINE,
        (f"{TEXTS}test_a_text_that_hangs_is_ended_by_the_clock",),
    ),
    Limit(
        "memory of a process that reads them",
        "REMOTE_TEXT_MEMORY_BYTES",
        FailureCode.TOO_MUCH_MEMORY,
        (f"{TEXTS}test_a_text_may_use_its_memory_and_no_more",),
    ),
    Limit(
        "pages and posts read at once",
        "REMOTE_TEXT_CHILDREN",
        "it waits for its turn, or 503 `busy`",
        (f"{TEXTS}test_texts_wait_for_their_turn_and_past_that_are_refused",),
    ),
    Limit(
        "pages and posts that wait for each read at once, for each of `REMOTE_WAITING_PER_CHILD`",
        "pool.texts:MOST_WAITING_FOR_ONE",
        FailureCode.BUSY,
        (f"{TEXTS}test_texts_wait_for_their_turn_and_past_that_are_refused",),
    ),
    Limit(
        "of them, those that are longer count once for each so many bytes",
        "pool.texts:LONGEST_OF_ONE_PLACE_BYTES",
        FailureCode.BUSY,
        (f"{TEXTS}test_long_texts_take_the_places_of_several",),
    ),
    Limit(
        "pages and posts of one process",
        "REMOTE_TEXT_JOBS",
        "the next one gets a fresh process",
        (f"{TEXTS}test_a_child_reads_so_many_texts_and_is_then_replaced",),
    ),
    Limit(
        "a page, an oEmbed answer or a post",
        "contract.texts:MOST_TEXT_BYTES",
        FailureCode.TOO_LARGE,
        (
            f"{TEXTS}test_a_post_of_a_mebibyte_passes_and_one_byte_more_does_not",
            f"{TEXTS}test_a_page_is_read_as_far_as_a_mebibyte",
            f"{RENDERING}test_a_text_of_the_limit_is_rendered_and_one_byte_more_is_not",
        ),
    ),
    Limit(
        "what comes of it",
        "contract.texts:MOST_READ_BYTES",
        FailureCode.OUTPUT_TOO_LARGE,
        (f"{TEXTS}test_what_comes_of_a_text_may_be_four_mebibytes_and_no_more",),
    ),
)
_TEXTS = (
    Limit(
        "JSON with Markdown",
        "web.text:MOST_BODY_BYTES",
        FailureCode.TOO_LARGE,
        (f"{RENDERING}test_a_body_of_the_limit_is_read_and_one_byte_more_is_not",),
    ),
    Limit(
        "HTML that Markdown becomes",
        "contract.markup:MOST_HTML_BYTES",
        FailureCode.OUTPUT_TOO_LARGE,
        (f"{TEXT}test_html_has_so_many_bytes_and_not_one_more",),
    ),
    Limit(
        "pictures in that",
        "contract.markup:MOST_IMAGES",
        FailureCode.OUTPUT_TOO_LARGE,
        (f"{TEXT}test_a_text_has_so_many_pictures_and_not_one_more",),
    ),
    Limit(
        "elements within each other in that",
        "decoder.nesting:DEEPEST",
        "deeper ones are left out, their text is not",
        (f"{TEXT}test_elements_are_so_deep_and_not_one_deeper",),
    ),
    Limit(
        "JSON: arrays and objects within each other",
        "web.json_body:DEEPEST",
        FailureCode.BAD_REQUEST,
        (f"{JSON}test_a_value_is_nested_so_deep_and_not_one_deeper",),
    ),
    Limit(
        "JSON: commas and opening brackets",
        "web.json_body:MOST_VALUES",
        FailureCode.BAD_REQUEST,
        (f"{JSON}test_a_value_has_so_many_parts_and_not_one_more",),
    ),
)
_CARDS = "service/test_previews.py::"
_KEPT = "service/test_preview_cache.py::"
_LINKED = "web/test_links.py::"
_BY_URL = "web/test_pictures_by_url.py::"
_NOT_TOLD = "the rest is not told"
_LINKS = (
    Limit(
        "time for a preview",
        "REMOTE_PREVIEW_SECONDS",
        FailureCode.TIMEOUT,
        (
            f"{_LINKED}test_a_preview_has_its_time_and_no_more",
            f"{_CARDS}test_a_door_that_forgets_the_deadline_is_not_waited_for",
        ),
    ),
    Limit(
        "time for a batch",
        "REMOTE_PREVIEWS_SECONDS",
        FailureCode.TIMEOUT,
        (f"{_LINKED}test_urls_past_the_time_of_a_batch_fail_and_the_others_stand",),
    ),
    Limit(
        "URLs of a batch",
        "REMOTE_PREVIEWS_AT_ONCE",
        FailureCode.BAD_PARAMETER,
        (f"{_LINKED}test_a_batch_has_so_many_urls_and_not_one_more",),
    ),
    Limit(
        "a batch's body, bytes for each URL it may have and one more",
        "web.previews:BYTES_PER_URL",
        FailureCode.TOO_LARGE,
        (f"{_LINKED}test_a_batch_body_is_bounded",),
    ),
    Limit(
        "a small form",
        "web.fields:MOST_FORM_BYTES",
        FailureCode.TOO_LARGE,
        (f"{_LINKED}test_a_form_is_bounded",),
    ),
    Limit(
        "fields of a small form",
        "web.fields:MOST_FIELDS",
        FailureCode.BAD_REQUEST,
        (f"{_LINKED}test_a_form_is_bounded",),
    ),
    Limit(
        "the field `url` of an upload's form",
        "web.upload:LONGEST_URL_BYTES",
        FailureCode.TOO_LONG,
        (f"{_BY_URL}test_a_url_in_a_form_is_bounded",),
    ),
    Limit(
        "requests of a preview, after which no oEmbed is asked for",
        "service.errand:MOST_REQUESTS",
        "that part is left out",
        (f"{_CARDS}test_a_preview_asks_so_many_times_and_not_once_more",),
    ),
    Limit(
        "hosts of a preview besides the first",
        "service.errand:MOST_OTHER_HOSTS",
        "that part is left out",
        (f"{_CARDS}test_a_preview_goes_to_so_many_hosts_and_not_to_one_more",),
    ),
    Limit(
        "parts that are told to be dropped",
        "service.card:MOST_DROPPED",
        _NOT_TOLD,
        (f"{_CARDS}test_dropped_parts_are_told_up_to_a_number_and_cut",),
    ),
    Limit(
        "characters of a dropped URL",
        "service.card:LONGEST_DROPPED",
        _NOT_TOLD,
        (f"{_CARDS}test_dropped_parts_are_told_up_to_a_number_and_cut",),
    ),
    Limit(
        "characters of a title made of a URL",
        "service.card:_LONGEST_TITLE",
        _NOT_TOLD,
        (f"{_CARDS}test_a_url_has_a_title",),
    ),
    Limit(
        "previews in memory, and again in the file",
        "REMOTE_CACHE_BYTES",
        "those longest without use go",
        (
            f"{_KEPT}test_memory_holds_so_many_bytes_and_those_longest_without_use_go",
            f"{_KEPT}test_the_file_holds_so_many_bytes",
        ),
    ),
    Limit(
        "freshness of a page that says nothing",
        "REMOTE_CACHE_SECONDS",
        "it is made anew",
        ("service/test_freshness.py::test_freshness",),
    ),
    Limit(
        "shortest freshness",
        "service.freshness:SHORTEST_SECONDS",
        "it is fresh for so long",
        ("service/test_freshness.py::test_freshness",),
    ),
    Limit(
        "longest freshness",
        "service.freshness:LONGEST_SECONDS",
        "it is fresh for so long",
        ("service/test_freshness.py::test_freshness",),
    ),
    Limit(
        "time past its freshness in which a preview is shown while it is made anew",
        "service.freshness:STALE_SECONDS",
        "it is waited for",
        (f"{_KEPT}test_past_its_stale_time_it_is_waited_for",),
    ),
    Limit(
        "the same while its site fails",
        "service.freshness:ERROR_SECONDS",
        "the failure is told",
        (
            f"{_KEPT}test_an_old_card_stands_in_while_the_site_fails",
            f"{_KEPT}test_past_a_week_it_does_not_stand_in",
        ),
    ),
    Limit(
        "previews made anew behind those shown",
        "service.previews:MOST_REFRESHES",
        "it is waited for",
        (f"{_KEPT}test_so_many_are_made_anew_at_once_and_the_next_is_waited_for",),
    ),
    Limit(
        "entries on their way into the file",
        "service.cache:MOST_WRITES",
        "it stays in memory alone",
        (f"{_KEPT}test_so_many_entries_wait_for_the_file_and_the_next_does_not",),
    ),
    Limit(
        "how long a signed address holds at least",
        "REMOTE_PROXY_SECONDS",
        FailureCode.BAD_SIGNATURE,
        (
            "service/test_signing.py::test_an_address_expires",
            "service/test_signing.py::test_one_picture_has_one_address_all_day_that_holds_at_least_as_long_as_promised",
        ),
    ),
    Limit(
        "characters of a URL that is signed",
        "service.signing:LONGEST_SIGNED",
        "it has no signed address",
        ("service/test_signing.py::test_a_url_that_would_be_refused_anyway_is_not_signed",),
    ),
    Limit(
        "characters of a site's ETag that is used",
        "web.validators:LONGEST_VALIDATOR",
        "it is not used",
        (f"{_BY_URL}test_a_sites_tag_is_used_up_to_a_length",),
    ),
)
_SEEING = (
    Limit(
        "steps of a request that become spans",
        "tracing:MOST_STEPS",
        "they are not told",
        ("seeing/test_tracing.py::test_a_trace_has_so_many_steps_and_not_one_more",),
    ),
    Limit(
        "the head of a request for metrics",
        "web.scrape:MOST_HEAD_BYTES",
        "the connection ends",
        ("seeing/test_scraping.py::test_a_head_is_bounded",),
    ),
    Limit(
        "connections for metrics at once",
        "web.scrape:MOST_SCRAPES",
        "the connection ends",
        ("seeing/test_scraping.py::test_so_many_may_read_at_once_and_not_one_more",),
    ),
    Limit(
        "an answer that `remote-worker top` reads",
        "cli.top:MOST_ANSWER_BYTES",
        "it says so",
        ("seeing/test_top.py::test_an_answer_has_so_many_bytes_and_not_one_more",),
    ),
)
_NETWORK = (
    Limit(
        "a name that is resolved",
        "service.network:LONGEST_NAME",
        "400 `unresolved`, reason `too_long`",
        ("service/test_names.py::test_a_name_is_asked_for_in_the_form_of_the_dns",),
    ),
    Limit(
        "an ENS name",
        "service.ens:LONGEST_NAME",
        FailureCode.BAD_PARAMETER,
        ("service/test_ens.py::test_a_name_is_in_letters_that_no_version_reads_otherwise",),
    ),
    Limit(
        "an answer of an Ethereum node",
        "service.ens:MOST_ANSWER_BYTES",
        FailureCode.ENS_FAILED,
        ("service/test_ens.py::test_an_answer_has_so_many_bytes_and_not_one_more",),
    ),
)
_CHECK = "service/test_external_check.py::"
_RECIPES = (
    Limit(
        "waiting for the external check",
        "REMOTE_EXTERNAL_CHECK_SECONDS",
        FailureCode.CHECK_FAILED,
        ("test_checked_pictures.py::test_a_picture_waits_for_the_check_as_long_as_is_set_and_no_longer",),
    ),
    Limit(
        "an answer of the external check",
        "service.check:MOST_CHECK_BYTES",
        FailureCode.CHECK_FAILED,
        (f"{_CHECK}test_an_answer_has_so_many_bytes_and_not_one_more",),
    ),
)
_HOSTILE_ANSWERS = "fetch/test_hostile_answers.py::"
_CLOCKS = "fetch/test_clocks.py::"
_CODINGS = "fetch/test_content_codings.py::"
_DIALLING = "fetch/test_dialling.py::"
_PAGE_ENDS = "fetch/test_page_end.py::"
_BODIES = (f"{_HOSTILE_ANSWERS}test_a_body_of_the_limit_is_taken_and_one_byte_more_is_not",)
_PHASES = (
    f"{_CLOCKS}test_a_phase_that_takes_too_long_is_named",
    f"{_CLOCKS}test_a_server_that_takes_its_time_in_every_phase_is_heard_out",
)
_RATE = (f"{_CLOCKS}test_bodies_that_come_too_slowly_are_left_after_two_seconds",)
_HEADS = (f"{_HOSTILE_ANSWERS}test_a_head_is_bounded",)
_ANSWERS = (
    Limit(
        "a page, decoded",
        "REMOTE_PAGE_BYTES",
        "it is cut",
        (f"{_HOSTILE_ANSWERS}test_a_page_of_the_limit_is_whole_and_one_byte_more_is_cut",),
    ),
    Limit(
        "of a page whose head has no title",
        "fetch.process.body:FALLBACK_BYTES",
        "it is cut",
        (f"{_PAGE_ENDS}test_for_a_reader_that_looks_further_so_much_is_read",),
    ),
    Limit(
        "of a picture where a page was wanted",
        "fetch.process.body:SIGN_BYTES",
        "it is cut",
        (
            "fetch/test_types_of_bodies.py"
            "::test_of_a_picture_where_a_page_was_wanted_only_the_beginning_is_read",
        ),
    ),
    Limit(
        "comments, scripts and the like before the end of a head",
        "fetch.process.page_end:_MOST_MARKS",
        "the page is read as if its head never ended",
        (f"{_PAGE_ENDS}test_a_head_has_so_many_marks_and_not_one_more",),
    ),
    Limit("a picture that is fetched", "REMOTE_FETCHED_IMAGE_BYTES", FailureCode.TOO_LARGE, _BODIES),
    Limit("an oEmbed answer", "REMOTE_OEMBED_BYTES", FailureCode.TOO_LARGE, _BODIES),
    Limit(
        "unpacked for each packed byte, once it is more than 64 KiB",
        "fetch.process.coding:MOST_RATIO",
        FailureCode.TOO_LARGE,
        (
            f"{_CODINGS}test_what_unpacks_to_a_hundredfold_is_too_large",
            f"{_CODINGS}test_a_short_body_may_pack_better",
        ),
    ),
    Limit(
        "a packed body, beside twice what it unpacks to",
        "fetch.process.coding:MOST_EMPTY_BYTES",
        FailureCode.BAD_ENCODING,
        (
            f"{_CODINGS}test_what_unpacks_to_nothing_is_left",
            f"{_CODINGS}test_a_packed_body_has_so_much_beside_what_it_holds",
        ),
    ),
    Limit(
        "members of a gzip body",
        "fetch.process.coding:MOST_MEMBERS",
        FailureCode.BAD_ENCODING,
        (f"{_CODINGS}test_a_body_has_so_many_members_and_not_one_more",),
    ),
    Limit("the head of an answer", "fetch.process.http:MOST_HEAD_BYTES", FailureCode.BAD_HTTP, _HEADS),
    Limit("its fields", "fetch.process.http:MOST_FIELDS", FailureCode.BAD_HTTP, _HEADS),
    Limit("one of them", "fetch.process.http:LONGEST_FIELD_BYTES", FailureCode.BAD_HTTP, _HEADS),
    Limit("interim answers before it", "fetch.process.http:MOST_INTERIM", FailureCode.BAD_HTTP, _HEADS),
    Limit(
        "what a body in chunks has beside twice its data",
        "fetch.process.http:MOST_FRAMING_BYTES",
        FailureCode.BAD_HTTP,
        (
            f"{_HOSTILE_ANSWERS}test_what_frames_chunks_is_bounded",
            f"{_HOSTILE_ANSWERS}test_many_small_chunks_are_one_body",
        ),
    ),
    Limit(
        "redirects",
        "REMOTE_REDIRECTS",
        FailureCode.REDIRECT_LIMIT,
        ("fetch/test_redirects.py::test_so_many_redirects_are_followed_and_not_one_more",),
    ),
    Limit(
        "addresses of a name that are dialled",
        "fetch.process.dialer:MOST_DIALLED",
        FailureCode.CONNECT_FAILED,
        (f"{_DIALLING}test_so_many_addresses_are_tried_and_not_one_more",),
    ),
    Limit(
        "the head of a proxy's answer",
        "fetch.process.dialer:MOST_PROXY_BYTES",
        FailureCode.CONNECT_FAILED,
        (f"{_DIALLING}test_the_answer_of_a_proxy_is_bounded",),
    ),
    Limit(
        "time for a connection",
        "REMOTE_CONNECT_SECONDS",
        FailureCode.TIMEOUT,
        (
            f"{_DIALLING}test_a_connection_that_does_not_come_about_in_time_is_told",
            f"{_CLOCKS}test_a_server_that_takes_its_time_in_every_phase_is_heard_out",
        ),
    ),
    Limit(
        "time for a TLS handshake",
        "REMOTE_TLS_SECONDS",
        FailureCode.TIMEOUT,
        (
            f"{_CLOCKS}test_a_server_that_never_shakes_hands_is_left",
            "fetch/test_fetching_tls.py"
            "::test_a_certificate_of_the_name_is_right_while_its_address_is_dialled",
        ),
    ),
    Limit("time for the head of an answer", "REMOTE_FIRST_BYTE_SECONDS", FailureCode.TIMEOUT, _PHASES),
    Limit("pause within the body of an answer", "REMOTE_FETCH_IDLE_SECONDS", FailureCode.TIMEOUT, _PHASES),
    Limit(
        "bytes a second of a body, at the least",
        "fetch.process.follow:LEAST_RATE",
        FailureCode.TIMEOUT,
        _RATE,
    ),
    Limit(
        "seconds without which the rate does not count",
        "fetch.process.follow:RATE_SECONDS",
        FailureCode.TIMEOUT,
        _RATE,
    ),
    Limit(
        "time for a fetch with its redirects",
        "REMOTE_FETCH_SECONDS",
        FailureCode.TIMEOUT,
        (
            f"{_CLOCKS}test_all_hops_together_have_one_clock",
            f"{_CLOCKS}test_a_server_that_takes_its_time_in_every_phase_is_heard_out",
        ),
    ),
    Limit(
        "time that a server may ask to be left alone",
        "fetch.process.follow:LONGEST_RETRY_SECONDS",
        "it is taken as this",
        ("fetch/test_requests_made.py::test_a_server_may_ask_for_at_most_an_hour",),
    ),
)
_CALLERS = (
    Limit(
        "how old a signed request may be",
        "REMOTE_SIGNATURE_SECONDS",
        FailureCode.UNAUTHENTICATED,
        (f"{CALLING}test_a_signature_has_its_time_and_its_parameters",),
    ),
    Limit(
        "how far a signer's clock may be ahead",
        "web.signed:MOST_SKEW_SECONDS",
        FailureCode.UNAUTHENTICATED,
        (f"{CALLING}test_a_signature_has_its_time_and_its_parameters",),
    ),
    Limit(
        "`Signature-Input`, and `Signature`, bytes",
        "web.signed:LONGEST_SIGNATURE_INPUT",
        FailureCode.UNAUTHENTICATED,
        (f"{CALLING}test_a_signature_is_as_long_as_it_may_be_and_not_one_byte_more",),
    ),
    Limit(
        "signatures of one key that still hold",
        "web.signed:MOST_SIGNATURES_KEPT",
        FailureCode.QUOTA_EXCEEDED,
        ("web/test_quota.py::test_only_so_many_signatures_of_a_key_are_remembered_and_no_more_let_in",),
    ),
    Limit(
        "`Content-Digest`, bytes",
        "web.digest:LONGEST_DIGEST_HEADER",
        FailureCode.BAD_DIGEST,
        (f"{CALLING}test_a_digest_header_has_so_many_bytes_and_not_one_more",),
    ),
    Limit(
        "`Remote-Limits`, bytes",
        "web.auth:LONGEST_LIMITS_HEADER",
        FailureCode.BAD_PARAMETER,
        (f"{CALLING}test_limits_of_a_request_have_so_many_bytes_and_not_one_more",),
    ),
    Limit(
        "the key file",
        "web.keys:MOST_KEYS_FILE_BYTES",
        "the worker does not start, or keeps the former keys",
        ("web/test_keys.py::test_a_file_has_so_many_bytes_and_not_one_more",),
    ),
)
_STORES = (
    Limit(
        "a key of an object, bytes; in a bucket with the prefix of the store",
        "stores.keys:LONGEST_KEY_BYTES",
        "the store refuses the key",
        (f"{STORES}test_the_bound_of_a_key_is_1024_bytes_with_the_prefix_of_a_bucket",),
    ),
    Limit(
        "what lies between two slashes of a key, bytes",
        "stores.keys:LONGEST_PART_BYTES",
        "the store refuses the key",
        (
            f"{STORES}test_what_was_put_is_got_under_its_key",
            f"{STORES}test_what_is_no_key_is_refused_before_anything_is_done",
        ),
    ),
    Limit(
        "names of one folder that are held at once",
        "stores.directory:MOST_NAMES",
        "the folder is read again for the next so many",
        (
            "stores/test_directory_store.py::"
            "test_a_folder_with_more_names_than_are_held_is_listed_whole_and_in_order",
        ),
    ),
    Limit(
        "tries of a put in a folder that others take away",
        "stores.directory:MOST_FOLDER_TRIES",
        "the store fails",
        ("stores/test_directory_store.py::test_puts_and_deletes_in_one_folder_do_not_fail_each_other",),
    ),
    Limit(
        "a connection to a bucket, seconds",
        "stores.s3:LONGEST_CONNECT_SECONDS",
        "it is tried again",
        (f"{BUCKETS}test_nobody_at_the_address_is_a_failure",),
    ),
    Limit(
        "one request to a bucket, seconds",
        "stores.s3:LONGEST_REQUEST_SECONDS",
        "a reading one is tried again, else the store fails",
        (f"{BUCKETS}test_a_server_that_never_answers_is_a_failure_within_the_bound",),
    ),
    Limit(
        "from the first try to the beginning of the last, seconds",
        "stores.s3:LONGEST_RETRYING_SECONDS",
        "the store fails",
        (f"{BUCKETS}test_a_server_that_never_answers_is_a_failure_within_the_bound",),
    ),
    Limit(
        "retries of a request to a bucket",
        "stores.s3:MOST_RETRIES",
        "the store fails",
        (f"{BUCKETS}test_retries_are_few",),
    ),
)
_JOBS_SERVED = "web/test_jobs_served.py::"
_JOBS_BY_HTTP = (
    Limit(
        "path and query of a job's `request`, characters",
        "web.targets:LONGEST_TARGET",
        FailureCode.URI_TOO_LONG,
        (f"{_JOBS_SERVED}test_a_request_has_so_many_characters_and_not_one_more",),
    ),
    Limit(
        "`Idempotency-Key`, characters",
        "web.jobs:LONGEST_IDEMPOTENCY_KEY",
        FailureCode.BAD_PARAMETER,
        (f"{_JOBS_SERVED}test_a_key_has_up_to_255_characters",),
    ),
    Limit(
        "seconds that a request waits for a job",
        "web.jobs:LONGEST_WAIT_SECONDS",
        FailureCode.BAD_PARAMETER,
        (
            f"{_JOBS_SERVED}test_a_wait_is_a_number_of_seconds",
            f"{_JOBS_SERVED}test_any_other_wait_is_refused",
        ),
    ),
    Limit(
        "a job's answer, bytes besides its pictures",
        "web.replay:WORDS_BYTES",
        FailureCode.OUTPUT_TOO_LARGE,
        ("web/test_jobs_replayed.py::test_an_answer_up_to_the_bound_is_kept_and_none_beyond",),
    ),
)
_JOBS = (
    Limit(
        "jobs that wait or are in hand",
        "REMOTE_JOBS_QUEUE",
        FailureCode.BUSY,
        ("jobs/test_submitting.py::test_past_the_last_place_a_job_is_refused_and_leaves_nothing",),
    ),
    Limit(
        "bytes of jobs and their answers",
        "REMOTE_JOBS_BYTES",
        FailureCode.BUSY,
        ("jobs/test_submitting.py::test_jobs_and_their_answers_have_so_many_bytes_together",),
    ),
    Limit(
        "time in which a job is begun",
        "REMOTE_JOBS_SECONDS",
        "the job's answer is 504 `deadline`",
        ("jobs/test_working.py::test_a_job_is_not_begun_past_its_deadline",),
    ),
    Limit(
        "time that a job and its answer are kept",
        "REMOTE_JOBS_KEEP_SECONDS",
        FailureCode.NOT_FOUND,
        ("jobs/test_sweeping.py::test_nothing_is_kept_longer_than_was_said",),
    ),
    Limit(
        "workers that may die over a job",
        "jobs.settings:MOST_ATTEMPTS",
        "the job's answer is 500 `worker_killed`",
        (
            "jobs/test_working.py::test_a_job_that_workers_die_over_is_given_up",
            "jobs/test_kills.py::test_a_job_that_kills_every_worker_costs_none_of_those_beside_it",
        ),
    ),
    Limit(
        "what is written down of a job, bytes",
        "jobs.records:MOST_RECORD_BYTES",
        FailureCode.INTERNAL,
        ("jobs/test_working.py::test_a_record_has_so_many_bytes_and_not_one_more",),
    ),
)
_WEBHOOKS = (
    Limit(
        "a key for webhooks, bytes",
        "jobs.signature:MOST_KEY_BYTES",
        "the worker does not start",
        ("jobs/test_webhooks.py::test_a_key_has_24_to_64_bytes_as_they_are_or_in_base64",),
    ),
    Limit(
        "time by which a receiver's `Retry-After` puts the next attempt off",
        "jobs.webhook:LONGEST_ASKED_SECONDS",
        "it is taken as this",
        ("jobs/test_webhooks.py::test_a_receiver_puts_the_next_attempt_off_but_by_an_hour_at_most",),
    ),
)

SECTIONS: dict[str, tuple[Limit, ...]] = {
    "Requests": _REQUESTS,
    "Who may call": _CALLERS,
    "Uploads": _UPLOADS,
    "Pictures": _PICTURES,
    "What the readers of each format take": _HEADERS,
    "Metadata and colour profiles": _METADATA,
    "Pages and posts": _PAGES_AND_POSTS,
    "Pages and oEmbed answers": _PAGES,
    "Replies of a decoder, which may be hostile": _REPLIES,
    "The door: paces, names, and replies of the process that fetches": _DOOR,
    "URLs that are fetched": _URLS,
    "Previews and pictures by URL": _LINKS,
    "JSON and text": _TEXTS,
    "Names and addresses": _NETWORK,
    "Recipes, and the check before a picture leaves": _RECIPES,
    "What the worker tells of itself": _SEEING,
    "Answers of those who are fetched from": _ANSWERS,
    "Stores": _STORES,
    "Jobs over HTTP": _JOBS_BY_HTTP,
    "Jobs": _JOBS,
    "Webhooks": _WEBHOOKS,
}
"""All rows, by what they bound."""

PARAMETERS = (
    (
        "quality",
        "1 to 100",
        PAST[FailureCode.BAD_PARAMETER],
        "web/test_endpoints.py::test_other_values_are_bad_parameters",
    ),
    (
        "a side of a box",
        "1 or more",
        PAST[FailureCode.BAD_PARAMETER],
        "web/test_endpoints.py::test_an_empty_box_is_a_bad_parameter",
    ),
    (
        "a perceptual hash",
        "16 digits of hex",
        PAST[FailureCode.BAD_PARAMETER],
        "web/test_recipes.py::test_what_is_no_hash_has_no_distance",
    ),
)
"""What an address may say: parameter, range, what is answered, and the test."""

NO_LIMITS = {
    "web.jobs:MOST_ANSWERS_READ": "who comes later waits for a moment",
    "jobs.webhook:LONGEST_TELLING_SECONDS": "fetches end before; the rest is for waiting at a site",
    "client.reading:LONGEST_LINE": "of an answer, in the program that asks",
    "client.reading:MOST_ANSWER_BYTES": "of an answer, in the program that asks",
    "client.parts:LONGEST_PART_HEAD": "of an answer, in the program that asks",
    "host": "where it listens",
    "port": "where it listens",
    "open": "who may call",
    "host_names": "who may call",
    "trusted_proxies": "who calls",
    "keys_file": "who may call",
    "tls_cert": "who the worker is",
    "tls_key": "who the worker is",
    "tls_client_ca": "who may call",
    "tls_client_required": "who may call",
    "web.keys:_LARGEST": "the largest number that every reader holds exactly",
    "uid": "a name",
    "region": "a name",
    "country": "a name",
    "drain_seconds": "what a stop waits for on purpose",
    "ready": "processes that wait ahead of demand",
    "template_jobs": "when a template is replaced",
    "template_seconds": "when a template is replaced",
    "crash_burst": "when a template is replaced",
    "jail": "the seal",
    "formats": "which formats are read",
    "egress_allow": "who may be dialled",
    "egress_deny": "who may be dialled",
    "egress_report": "who may be dialled",
    "egress_ports": "who may be dialled",
    "nat64": "who is dialled",
    "cache_path": "where previews are kept",
    "proxy_keys": "what addresses are signed with",
    "public_url": "where signed addresses are reached",
    "camo_key": "what addresses are signed with",
    "service.one_time:_MOST_WORDS": "what is taken for a headline",
    "service.freshness:_MOST_DELTA": "the largest number that HTTP's caches know",
    "service.cache_file:_LONGEST_OPENING_SECONDS": "at the start, for another worker",
    "service.cache_file:_LONGEST_WAIT_SECONDS": "of a thread of its own, for another worker",
    "ipip_db_path": "where facts come from",
    "dns_private_answers": "what is told",
    "ens_rpc_url": "who is asked",
    "settings_file": "where there are more settings",
    "only_presets": "who picks sizes",
    "external_check_allow": "who may be dialled",
    "webhook_allow": "who may be dialled",
    "external_check_url": "who is asked",
    "external_check_token": "what it is asked with",
    "service.check:LONGEST_THUMBNAIL_SIDE": "what the check gets to see",
    "service.geo:_MOST_SYSTEM": "the largest number of an autonomous system",
    "egress_proxy": "who is dialled",
    "egress_ca_file": "who is trusted",
    "contact": "a name",
    "accept_language": "a language",
    "https_to_http": "what is followed",
    "fetch.process.page_end:_LONGEST_MARK": "how much is looked at again with what comes next",
    "jobs": "where jobs are kept",
    "engine": "what hands jobs out",
    "jobs_slots": "how many jobs are done at once; more wait",
    "webhook_keys": "what webhooks are signed with",
    "webhook_attempts": "how often somebody is told",
    "bulk_stores": "which bulk jobs are worked on",
    "jobs.working:LONGEST_PAUSE_SECONDS": "between two tries of a job",
    "web.cycle:MOST_WAITING_BYTES": "reading pauses until they are taken",
    "web.connection:MOST_WAITING_BYTES": "reading pauses until they are taken",
    "decoder.animation:_MOST_ROUNDS": "the largest number that a format can say",
    "decoder.header:LONGEST_MS": "the largest number that JSON holds exactly",
    "decoder.headers.heif_track:MOST_ROUNDS": "more are told as for ever",
    "decoder.headers.heif:MOST_BRANDS_BYTES": "which of two formats it is",
    "decoder.gif_blocks:_MOST_HUNDREDTHS": "the largest number that GIF can say",
    "decoder.webp_chunks:_MOST_MS": "the largest number that WebP can say",
    "decoder.png_chunks:_MOST_COUNTS": "the largest number that APNG can say",
    "decoder.png_chunks:_MOST_COLORS": "which of two ways is the shorter",
    "decoder.gif_film:_MOST": "which of two ways is the shorter",
    "decoder.encode:_MOST_AVIF_STILL_PIXELS": "which of two ways is the faster",
    "decoder.encode:MOST_UNHURRIED_PIXELS": "which of two ways is the faster",
    "decoder.loaders.libpng:_MOST_DEFLATED": "which of two ways is the faster",
    "decoder.loaders.libpng:_MOST_BYTES": "which of two ways is the faster",
    "decoder.loaders.apng:_MOST_BYTES": "the longest palette that PNG knows",
    "decoder.jpeg_bytes:MOST_PAYLOAD": "the longest segment that JPEG knows",
    "decoder.jpeg_turn:MOST_UNITS": "the strips in which a picture is turned",
    "decoder.encode:MOST_BYTES_A_SAMPLE": "room for what is written",
    "decoder.pictures:_MOST_HOLES": "how memory is laid out before the seal",
    "nameservers": "who is asked",
    "fetch.door:_LONGEST_PAUSE_SECONDS": "between two starts of a process that fails",
    "fetch.process.dns_message:_MOST_TTL": "the largest number that DNS knows",
    "decoder.page.scanner:_LONGEST_NAME": "longer than any name that is looked for",
    "decoder.page.json_ld:_MOST_WHOLE": "the largest number that JSON holds exactly",
    "decoder.template:_MOST_HOLES": "how memory is laid out before the seal",
    # What the worker tells of itself.
    "decoder.template:_MOST": "the largest number that an event can say",
    "log_format": "how lines are written",
    "metrics": "where it listens",
    "metrics_open": "who may read",
    "top_key": "who asks",
    # Bulk work: what operators plan, and how it is kept.
    "bulk.folder:MOST_FILE_BYTES": "of what the worker itself has written",
    "bulk.folder:MOST_UNPACKED_BYTES": "of what the worker itself has written",
    "bulk.keys:LONGEST_QUOTED": "of a key in another key; a longer one stands there as its hash",
    "bulk.keys:LONGEST_QUOTED_PART": "of a key in another key; a longer one stands there as its hash",
    "bulk.keys:LONGEST_VERSION": "of a version in a key; a longer one stands there as its hash",
    "jobs.submitting:MOST_ASKING": "threads; more wait for their turn",
    "bulk.checked:MOST_SHARDS": "what an operator may ask for on the command line",
    "bulk.folder:MOST_SHARD_ITEMS": "what an operator may ask for on the command line",
    "bulk.plan:MOST_KEY_CHARACTERS": "of an operator's own manifest",
    "bulk.plan:MOST_LINE_CHARACTERS": "of an operator's own manifest",
    "bulk.shard:MOST_DEATHS": "of workers over one item, which then has the code `worker_killed`",
    "bulk.shard:MOST_INDEX_BYTES": "of what the worker itself has written",
    "bulk.running:MOST_QUEUED": "what the worker itself hands to an engine",
    "bulk.running:MOST_ROUNDS": "after which it is told that nobody does the work",
    "bulk.running:LONGEST_AGAIN_SECONDS": "between two attempts",
    "cli.bulk_running:MOST_INDEX": "what an operator may ask for on the command line",
    # Engines: what the worker itself hands to them, and how they keep it.
    "engines.engine:MOST_UNIT_BYTES": "of what the worker itself hands to an engine",
    "engines.local:LONGEST_OPERATION_SECONDS": "of a thread of its own, for the disk",
    "engines.retries:LONGEST_RETRY_SECONDS": "what those who found no place are told",
    "engines.retries:_LONGEST_DELAY_SECONDS": "between two attempts",
    "engines.local_file:_LONGEST_WAIT_SECONDS": "of a thread of its own, for another worker",
    "engines.local_file:_LONGEST_JOURNAL_BYTES": "what the file of a queue takes up",
    "engines.local_file:_MOST_COUNTED": "more are told as as many",
    "engines.local_file:_MOST_SWEPT": "what is deleted in one go",
    "engines.local_file:_MOST_FREE_PAGES": "what the file of a queue takes up",
    "engines.streams:MOST_PULLS": "what the server is told to allow, far past what there is of workers",
    "engines.nats:_LONGEST_PAUSE_SECONDS": "between tries to reach the server again",
}
"""Settings and constants whose names sound like limits, and what they are."""

if __name__ == "__main__":
    print(json.dumps({limit.place: limit.tests for limit in every()}))
