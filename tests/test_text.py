"""Text for a person."""

from __future__ import annotations

import os

import pytest

from hclnet_runtime.boxes import parse_rule
from hclnet_runtime.text import as_clause, shown


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("It failed."), "It failed"),
        (OSError("two\n  lines ..."), "two lines"),
        (KeyError(), "KeyError"),
        (ValueError("a. b"), "a. b"),
    ],
)
def test_what_a_library_says_stands_in_a_sentence(error: Exception, text: str):
    assert as_clause(error) == text


@pytest.mark.parametrize("rule", ["fixed:7", "fixed:x", "otsu3:1"])
def test_a_sentence_ends_once(rule: str):
    with pytest.raises(ValueError) as error:
        parse_rule(rule)
    assert ".." not in str(error.value) and "Write one like" in str(error.value)


def test_what_can_not_be_printed_is_escaped():
    assert shown("a\nb") == "a\\nb" and shown(os.fsdecode(b"caf\xe9")) == "caf\\udce9"
