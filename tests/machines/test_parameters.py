"""What a parameter may be, in JSON and in a form, and what is said when it is something else."""

from __future__ import annotations

from typing import Any

import pytest

from machines.parameters import Choice, Flag, Number, Parameter, Text, TextList, WordList, checked
from machines.refused import Refused

MODE = Choice("mode", "how", "soft", values={"soft": "softly", "hard": "hard"})
ON = Flag("on", "on", needed=True)
NAME = Text("name", "name", pattern=r"[a-z]+", form="lower-case letters")
NOTE = Text("note", "note", longest=10)
SECONDS = Number("seconds", "seconds", 5, least=1, most=60)
DISKS = WordList("disks", "disks", default=[], most=3)
FILES = TextList("files", "files", most=2, longest=9)

EVERY = (MODE, ON, NAME, NOTE, SECONDS, DISKS)


def refused(parameter: Parameter, value: Any) -> str:
    with pytest.raises(Refused) as caught:
        checked([parameter], {parameter.name: value}, "Jump")
    assert (caught.value.code, caught.value.status) == ("bad_parameters", 400)
    assert caught.value.details == {"parameter": parameter.name}
    return caught.value.sentence


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        (MODE, "hard"),
        (ON, True),
        (ON, False),
        (NAME, "abc"),
        (NOTE, "two\nlines"),
        (NOTE, "x" * 10),
        (SECONDS, 1),
        (SECONDS, 60),
        (DISKS, []),
        (DISKS, ["vda", "sd_b.1"]),
        (FILES, ["/a b.img", "/ü"]),
    ],
)
def test_what_fits_is_kept_as_it_is(parameter, value):
    assert checked([parameter], {parameter.name: value}, "Jump") == {parameter.name: value}


@pytest.mark.parametrize(
    ("parameter", "values", "sentence"),
    [
        (MODE, ["loud", "", 1, True, ["soft"], {"soft": 1}], "“mode” may be soft, hard."),
        (ON, ["true", 1, 0, "", [], {}], "“on” may be true or false."),
        (NAME, ["", "A", "abc\n", "a b", 5, ["a"], True], "“name” has to be lower-case letters."),
        (NOTE, ["", "x" * 11, 5, False, "a\0b"], "“note” has to be a text of at most 10 characters."),
        (
            SECONDS,
            [0, 61, -1, 1.0, "5", True, [5], float("inf"), 10**40],
            "“seconds” has to be a whole number from 1 to 60.",
        ),
        (
            DISKS,
            ["vda", {"vda": 1}, ["a", "b", "c", "d"], [1], ["a/b"], [""], ["a b"], [["a"]], ["x" * 65], True],
            "“disks” has to be a list of at most 3 words.",
        ),
        (
            FILES,
            ["/a", ["/a", "/b", "/c"], [1], [""], ["a\0b"], [["/a"]], ["x" * 10], True],
            "“files” has to be a list of at most 2 texts.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(parameter, values, sentence):
    assert {str(value): refused(parameter, value) for value in values} == {str(value): sentence for value in values}


def test_defaults_are_filled_in_and_nothing_is_made_up():
    assert checked(EVERY, {"on": False}, "Jump") == {"mode": "soft", "on": False, "seconds": 5, "disks": []}


def test_none_is_as_good_as_not_given():
    assert checked([MODE, NAME], {"mode": None, "name": None}, "Jump") == {"mode": "soft"}


def test_what_is_needed_is_asked_for():
    for given in ({}, {"on": None}):
        with pytest.raises(Refused, match=r"“Jump” needs the parameter “on”.") as caught:
            checked([ON], given, "Jump")
        assert caught.value.details == {"parameter": "on"}


def test_what_nobody_knows_is_refused_and_named_in_short():
    with pytest.raises(Refused, match=r"“Jump” has no parameter “x{40}”.") as caught:
        checked(EVERY, {"on": True, "x" * 1000: 1}, "Jump")
    assert caught.value.details == {"parameter": "x" * 40}


def test_a_default_is_no_list_that_operations_share():
    checked([DISKS], {}, "Jump")["disks"].append("vda")
    assert checked([DISKS], {}, "Jump") == {"disks": []}


@pytest.mark.parametrize(
    ("parameter", "fields", "value"),
    [
        (MODE, [], None),
        (MODE, [""], None),
        (MODE, ["hard"], "hard"),
        (MODE, ["soft", "hard"], "hard"),
        (ON, [], None),
        (ON, ["0"], False),
        (ON, [""], False),
        (ON, ["0", "1"], True),
        (ON, ["on"], True),
        (NAME, ["abc"], "abc"),
        (SECONDS, [], None),
        (SECONDS, ["  "], None),
        (SECONDS, [" 7 "], 7),
        (SECONDS, ["-7"], "-7"),
        (SECONDS, ["seven"], "seven"),
        (SECONDS, ["\u0667"], "\u0667"),
        (SECONDS, ["9" * 5000], "9" * 5000),
        (DISKS, [], None),
        (DISKS, [""], None),
        (DISKS, ["vda", "vdb"], ["vda", "vdb"]),
        (DISKS, ["vda  vdb"], ["vda", "vdb"]),
    ],
)
def test_a_form_says_the_same_as_json(parameter, fields, value):
    assert parameter.from_form(fields) == value


def test_half_a_character_is_no_text():
    with pytest.raises(Refused):
        checked([NOTE], {"note": "\ud800"}, "Jump")
