"""Texts and bytes that are nearly, or not at all, what a reader expects."""

from __future__ import annotations

import random

EVIL = (
    b"", b"\0", b"\xff", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 3000, b"{\"a\":" * 3000, b"<a>" * 3000, b"-" * 300,
    b"null", b"NaN", b"-Infinity", b"1e999", b"-1", b"0", b"9" * 5000, b"true", b"\"\"", b"[]", b"{}", b"''",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"&b;", b"&#0;", b"<", b">", b"]]>", b"&a", b"*a", b"!!int ''",
    b"!!python/name:os.system ''",
    b"2020-99-99", b"\n", b"\r", b",", b";", b"\t", b"\"", b"'", b":", b"- ", b"? ", b"%", b"@", b"..", b"/", b"\\",
    b"\\u0000", b"\\ud800", b"\xed\xa0\x80", b"\xe2\x80\xae", b"x" * 300, b"/dev/zero", b"../" * 50, b" " * 99,
)  # fmt: skip


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Some of it taken out, doubled, replaced or cut off; or nothing of it left."""
    if rng.random() < 0.1:
        return rng.choice((rng.randbytes(rng.randrange(200)), rng.choice(EVIL)))
    for _ in range(rng.choice((1, 1, 1, 2, 5))):
        place = rng.randrange(len(data) + 1)
        end = min(len(data), place + rng.choice((0, 1, 1, 4, 20, len(data))))
        if rng.random() < 0.5:  # a whole value: what is between two marks
            marks = b"\"<>,;: \n'[]{}"
            while end < len(data) and data[end] not in marks:
                end += 1
            while place and data[place - 1] not in marks:
                place -= 1
        new = rng.choice((rng.choice(EVIL), rng.choice(EVIL), rng.randbytes(3), data[place:end] * 2, b""))
        data = data[:place] + new + data[end:]
    return data
