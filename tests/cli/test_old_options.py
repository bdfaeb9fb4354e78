"""Options by the names that version 0.1 had for them."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("verb", "old", "now"),
    [
        ("train", "--no-object-class", "--background-class"),
        ("compare", "--no-object-class", "--background-class"),
        ("calibrate", "--presence", "--rejection"),
        ("score", "--truth", "--ground-truth"),
        ("score", "--normalise", "--cam-normalization"),
    ],
)
def test_an_old_name_is_taken_and_no_help_shows_it(hclnet, verb: str, old: str, now: str):
    output = hclnet(verb, "--help").output
    assert now in output and old not in output
    value = [] if verb == "calibrate" else ["x"]
    by_old, by_now = (hclnet(verb, "nowhere", name, *value) for name in (old, now))
    assert by_old.exit_code == by_now.exit_code == 2
    assert by_old.output == by_now.output and "No such option" not in by_now.output
    if value:
        joined = hclnet(verb, "nowhere", f"{old}=x")
        assert joined.output == by_now.output
