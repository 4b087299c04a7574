"""The encodings of the standard, by their labels, and what comes before what."""

import codecs

import pytest
import webencodings
from webencodings import LABELS

from remote_worker.decoder.page import charset

# The Encoding Standard's own examples of bytes that tell its encodings apart.
BYTES = [
    ("gbk", b"\x80" * 0 + "\u20ac\u4e00".encode("gb18030"), "\u20ac\u4e00"),
    ("gb18030", b"\x81\x30\x81\x30", "\x80"),
    ("big5", b"\xa4\x40\x87\x40", "\u4e00\u43f0"),
    ("shift_jis", b"\x87\x40\xb1", "\u2460\uff71"),
    ("euc-kr", b"\x8c\x63", "\ub620"),
    ("euc-jp", b"\xa4\xa2\x8e\xb1", "\u3042\uff71"),
    ("iso-2022-jp", b"\x1b$B$\x22\x1b(B", "\u3042"),
    ("windows-1252", b"\x80\x93", "\u20ac\u201c"),
    ("windows-874", b"\xa1", "\u0e01"),
    ("windows-1254", b"\xd0", "\u011e"),
    ("iso-8859-8-i", b"\xe0", "\u05d0"),
    ("macintosh", b"\x8a", "\u00e4"),
    ("x-mac-cyrillic", b"\x80", "\u0410"),
    ("koi8-u", b"\xa4", "\u0454"),
    ("ibm866", b"\x80", "\u0410"),
    ("x-user-defined", b"a\x80\xff", "a\uf780\uf7ff"),
    ("utf-16be", b"\x4e\x00", "\u4e00"),
    ("utf-16le", b"\x00\x4e", "\u4e00"),
    ("replacement", b"anything", "\ufffd"),
    ("replacement", b"", ""),
]


@pytest.mark.parametrize(("name", "data", "text"), BYTES)
def test_bytes_are_decoded_as_the_standard_says(name: str, data: bytes, text: str) -> None:
    assert charset.decode(data, name) == (text, name)


@pytest.mark.parametrize("name", sorted(set(LABELS.values())))
def test_every_encoding_of_the_standard_is_known(name: str) -> None:
    assert charset.decode(b"\x00a"[name != "utf-16be" :], name)[1] == name


@pytest.mark.parametrize(
    "label", ["utf-7", "utf-32", "idna", "rot13", "hex", "punycode", "unicode_escape", "", "x" * 9999, "é"]
)
def test_no_other_codec_is_reached(label: str) -> None:
    assert charset.decode(b"+AGE- \\u0041", label) == ("+AGE- \\u0041", "utf-8")


@pytest.mark.parametrize("name", ["gbk", "gb18030", "big5", "shift_jis", "euc-kr", "euc-jp"])
def test_half_a_character_swallows_no_markup(name: str) -> None:
    assert charset.decode(b'\x81"><', name)[0].endswith('"><')


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"<meta charset=koi8-r>", "koi8-r"),
        (b"<META/CHARSET = 'koi8-r' >", "koi8-r"),
        (b"<meta charset=koi8-r", ""),  # not ended
        (b"<metacharset=koi8-r>", ""),
        (b"<meta charset='koi8-r>", ""),
        (b"<meta charset=koi8-r charset=utf-8>", "koi8-r"),
        (b"<meta charset=x http-equiv=content-type content='a;charset=koi8-r'>", ""),
        (b"<meta http-equiv=Content-Type content='a; charset = \"koi8-r\" x'>", "koi8-r"),
        (b"<meta http-equiv=content-type content='charset charset=koi8-r;x'>", "koi8-r"),
        (b"<meta http-equiv=content-type content='charset=\"koi8-r'>", ""),
        (b"<meta http-equiv=refresh content='a; charset=koi8-r'>", ""),
        (b"</meta charset=utf-8><meta charset=koi8-r>", "koi8-r"),
        (b"<a b='<meta charset=utf-8>'><meta charset=koi8-r>", "koi8-r"),
        (b"<? <meta charset=utf-8><meta charset=koi8-r>", "koi8-r"),
        (b"<!-- --><meta charset=koi8-r>", "koi8-r"),
        (b"<!-- <meta charset=utf-8>", ""),
        (b"<meta charset=utf-16be>", "utf-8"),
        (b"<meta charset=x-user-defined>", "windows-1252"),
        (b"<?xml version='1.0' encoding='koi8-r'?>", "koi8-r"),
        (b" <?xml version='1.0' encoding='koi8-r'?>", ""),
        (b"<?xml version='1.0' encoding='utf-16'?>", "utf-8"),
        (b"<\0?\0x\0m\0l\0", "utf-16le"),
        (b"\0<\0?\0x\0m\0l", "utf-16be"),
    ],
)
def test_the_prescan_finds_what_the_standard_finds(data: bytes, name: str) -> None:
    assert charset.prescanned(data) == name


def test_a_declaration_counts_within_1024_bytes_and_a_late_one_up_to_64_kibibytes() -> None:
    declared = b"<meta charset=koi8-r>"
    for length in (1024, 1025, 64 * 1024):
        page = b"\xf0" + declared.rjust(length - 1)
        assert charset.decode(page, "")[1] == "koi8-r"
    assert charset.decode(b"\xf0" + declared.rjust(64 * 1024), "")[1] == "windows-1252"


def test_a_mark_is_before_everything() -> None:
    for mark, name in (
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16le"),
        (codecs.BOM_UTF16_BE, "utf-16be"),
    ):
        data = mark + "<meta charset=koi8-r>é".encode(name)
        assert charset.decode(data, "windows-1251") == ("<meta charset=koi8-r>é", name)


def test_few_letters_beyond_ascii_are_latin() -> None:
    assert charset.decode("Для".encode("cp1251"), "")[1] == "windows-1252"
    assert charset.decode("Для проверки".encode("cp1251"), "")[1] == "windows-1252"
    assert charset.decode("Для проверкои".encode("cp1251"), "")[1] == "windows-1251"


def test_letters_far_behind_are_looked_at_too() -> None:
    text = "Это страница на русском языке, написанная для проверки".encode("cp1251")

    assert charset.decode(b" " * 100_000 + text, "")[1] == "windows-1251"


def test_utf_8_that_is_cut_is_utf_8() -> None:
    assert charset.decode("ü日".encode()[:-1], "")[1] == "utf-8"


def test_labels_are_those_of_a_second_reader() -> None:
    for label, name in LABELS.items():
        found = webencodings.lookup(f" {label.upper()}\n")
        assert found is not None
        assert charset.decode(b"", f" {label.upper()}\n")[1] == found.name == name
