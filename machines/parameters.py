"""The parameters of operations: what each may be. API, forms and documentation read the same description."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from machines.refused import Refused
from machines.state_words import Words

LONGEST_XML = 256 * 1024
"""Characters of a definition that is handed over."""


@dataclass(frozen=True, slots=True)
class Parameter(ABC):
    """One parameter. `default` is what is meant when it is not given; None: nothing.

    - needed: it has to be given.
    - hidden: too long or of no use to who reads about the operation later.
    """

    name: str
    label: Words
    default: Any = None
    needed: bool = False
    hidden: bool = False

    @abstractmethod
    def clean(self, value: Any) -> Any:
        """Return the value as it is kept.

        Raises:
            ValueError: with a sentence that says what it may be.
        """

    def from_form(self, values: list[str]) -> Any:
        """Return what a form's fields of this name say, None when they say nothing."""
        return values[-1] if values and values[-1] else None


@dataclass(frozen=True, slots=True)
class Choice(Parameter):
    """One of some words, which are libvirt's own; `values` has their meaning for people."""

    values: Mapping[str, Words] = None  # type: ignore[assignment]

    def clean(self, value: Any) -> str:
        """Return a known word."""
        if not isinstance(value, str) or value not in self.values:
            raise ValueError(
                _("“%(name)s” may be %(values)s.") % {"name": self.name, "values": ", ".join(self.values)},
            )
        return value


@dataclass(frozen=True, slots=True)
class Flag(Parameter):
    """Yes or no."""

    def clean(self, value: Any) -> bool:
        """Return a boolean."""
        if not isinstance(value, bool):
            raise ValueError(_("“%(name)s” may be true or false.") % {"name": self.name})
        return value

    def from_form(self, values: list[str]) -> Any:
        """Read a tick box, or a hidden field that says 1 or 0."""
        return values[-1] in {"1", "on", "true"} if values else None


@dataclass(frozen=True, slots=True)
class Text(Parameter):
    """A text of this form; `form` describes the pattern to people."""

    pattern: str = r"(?s).+"
    form: Words = ""
    longest: int = 255

    def clean(self, value: Any) -> str:
        """Return a text that fits."""
        if not isinstance(value, str) or len(value) > self.longest or not self._is_of_form(value):
            wrong = self.form or _("a text of at most %(longest)s characters") % {"longest": self.longest}
            raise ValueError(_("“%(name)s” has to be %(form)s.") % {"name": self.name, "form": wrong})
        return value

    def _is_of_form(self, text: str) -> bool:
        return _can_be_kept(text) and bool(re.fullmatch(self.pattern, text))


@dataclass(frozen=True, slots=True)
class Number(Parameter):
    """A whole number within limits."""

    least: int = 0
    most: int = 2**31

    def clean(self, value: Any) -> int:
        """Return a number that fits."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            raise ValueError(
                _("“%(name)s” has to be a whole number from %(least)s to %(most)s.")
                % {"name": self.name, "least": self.least, "most": self.most},
            )
        return value

    def from_form(self, values: list[str]) -> Any:
        """Read a number field."""
        text = values[-1].strip() if values else ""
        return int(text) if text.isascii() and text.isdigit() and len(text) < 12 else (text or None)


@dataclass(frozen=True, slots=True)
class WordList(Parameter):
    """A list of words, each of this form."""

    pattern: str = r"[A-Za-z0-9_.-]{1,64}"
    form: Words = ""
    most: int = 64

    def clean(self, value: Any) -> list[str]:
        """Return a list of words that fit."""
        fits = isinstance(value, list) and len(value) <= self.most and all(isinstance(word, str) for word in value)
        if not fits or not all(re.fullmatch(self.pattern, word) for word in value):
            wrong = self.form or _("a list of at most %(most)s words") % {"most": self.most}
            raise ValueError(_("“%(name)s” has to be %(form)s.") % {"name": self.name, "form": wrong})
        return list(value)

    def from_form(self, values: list[str]) -> Any:
        """Read tick boxes of one name, or words with spaces between."""
        return [word for value in values for word in value.split()] or None


@dataclass(frozen=True, slots=True)
class TextList(Parameter):
    """A list of texts, which may have spaces: paths, for example."""

    most: int = 64
    longest: int = 4096

    def clean(self, value: Any) -> list[str]:
        """Return a list of texts that fit."""
        if not isinstance(value, list) or len(value) > self.most or not all(map(self._fits, value)):
            sentence = _("“%(name)s” has to be a list of at most %(most)s texts.")
            raise ValueError(sentence % {"name": self.name, "most": self.most})
        return list(value)

    def from_form(self, values: list[str]) -> Any:
        """Read tick boxes of one name."""
        return [value for value in values if value] or None

    def _fits(self, text: Any) -> bool:
        return isinstance(text, str) and 0 < len(text) <= self.longest and _can_be_kept(text)


def checked(parameters: Iterable[Parameter], given: Mapping[str, Any], operation: Words) -> dict[str, Any]:
    """Return what was given, checked, with defaults filled in.

    Raises:
        Refused: `bad_parameters` (400), naming the parameter and what it may be.
    """
    known = {parameter.name: parameter for parameter in parameters}
    for name in given:
        if name not in known:
            sentence = _("“%(operation)s” has no parameter “%(name)s”.") % {"operation": operation, "name": name[:40]}
            raise bad(name, sentence)
    result = {}
    for name, parameter in known.items():
        value = given.get(name)
        value = deepcopy(parameter.default) if value is None else _clean(parameter, value)
        if value is not None:
            result[name] = value
        elif parameter.needed:
            sentence = _("“%(operation)s” needs the parameter “%(name)s”.") % {"operation": operation, "name": name}
            raise bad(name, sentence)
    return result


def bad(name: str, sentence: str) -> Refused:
    """Return the refusal of a parameter."""
    return Refused("bad_parameters", sentence, status=400, details={"parameter": name[:40]})


def _can_be_kept(text: str) -> bool:
    """Say whether a database takes it: PostgreSQL's JSON has no NUL, and half a character is none."""
    return not re.search("[\0\ud800-\udfff]", text)


def _clean(parameter: Parameter, value: Any) -> Any:
    try:
        return parameter.clean(value)
    except ValueError as error:
        raise bad(parameter.name, str(error)) from error
