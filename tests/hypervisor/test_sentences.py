"""The page of all errors is the code's."""

from __future__ import annotations

from collections.abc import Mapping

from hypervisor import errors, sentences, translation
from kvmportal.environment import ROOT


def test_the_page_of_errors_is_what_the_code_says() -> None:
    written = (ROOT / "docs" / "errors.md").read_text()
    assert written == sentences.page(), "run: python -m hypervisor.sentences >docs/errors.md"


def test_every_table_of_meanings_is_on_the_page() -> None:
    tables = {
        name for name, value in vars(translation).items() if isinstance(value, Mapping) and not name.startswith("__")
    }
    assert tables == {*sentences.CONTEXTS, "_BY_CODE", "_BY_ERRNO"}


def test_every_kind_of_error_is_on_the_page() -> None:
    page = sentences.page()
    assert [kind.word for kind in errors.HypervisorError.__subclasses__() if f"| `{kind.word}` |" not in page] == []


def test_what_the_portal_says_without_libvirt_is_on_the_page() -> None:
    assert "| `bad_definition` | This is not well-formed XML. | the portal's own check |" in sentences.page()
    assert "The machine has no … display." in sentences.page()
