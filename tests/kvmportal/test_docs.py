"""What docs/api.md says is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from kvmportal.api import api
from kvmportal.environment import ROOT
from kvmportal.errors import _BY_STATUS
from machines.listing import SORTS
from machines.operation_table import TABLE
from machines.refusals import RefusalCode

PAGE = (ROOT / "docs" / "api.md").read_text()
SOURCES = [
    path
    for folder in (
        "kvmportal",
        "machines",
        "lifecycle",
        "consoles",
        "people",
        "audit",
        "maintenance",
        "fleet",
        "notices",
        "sharing",
        "assist",
        "making",
    )
    for path in sorted((ROOT / folder).rglob("*.py"))
]


@pytest.fixture
def described(db: None) -> dict[str, set[str]]:
    """The calls of the OpenAPI description, with every parameter of a path written `*`."""
    paths = api.get_openapi_schema()["paths"]
    return {re.sub(r"\{\w+\}", "*", path): {method.upper() for method in methods} for path, methods in paths.items()}


def calls_of_the_page() -> set[tuple[str, str]]:
    """The calls of the page's curl examples."""
    calls = set()
    for line in re.findall(r"^curl .*$", PAGE, re.MULTILINE):
        path = re.search(r"\$PORTAL(/api/v1/[^\"?]*)", line)[1]
        calls.add(("POST" if " -X POST" in line or " --json" in line else "GET", re.sub(r"\$\w+", "*", path)))
    return calls


def test_every_example_calls_what_exists(described: dict[str, set[str]]) -> None:
    for method, path in calls_of_the_page():
        assert method in described[path], path


def test_every_call_has_an_example(described: dict[str, set[str]]) -> None:
    assert {(method, path) for path, methods in described.items() for method in methods} == calls_of_the_page()


def test_every_operation_is_named_in_the_tables_order() -> None:
    paragraph = PAGE.partition("<!-- operations -->")[2].partition(". The API")[0]
    assert re.findall(r"`([\w-]+)`", paragraph) == list(TABLE)


def test_every_sort_order_is_named() -> None:
    sentence = re.search(r"`sort` is (.*?), with `-`", PAGE, re.DOTALL)[1]
    assert set(re.findall(r"`(\w+)`", sentence)) == set(SORTS)


def test_every_error_code_is_listed_and_no_other() -> None:
    listed = set(re.findall(r"^\| \d{3} \| `(\w+)` \|", PAGE, re.MULTILINE))
    raised = {code for path in SOURCES for code in re.findall(r"Refused\(\s*\"(\w+)\"", path.read_text())}
    answered = set(re.findall(r'code="(\w+)"', (ROOT / "kvmportal" / "api.py").read_text()))
    usual = {str(code) for code, _ in _BY_STATUS.values()}
    assert listed == raised | answered | usual | {code.value for code in RefusalCode}


def test_every_status_is_the_one_that_is_answered() -> None:
    by_code = {code: int(status) for status, code in re.findall(r"^\| (\d{3}) \| `(\w+)` \|", PAGE, re.MULTILINE)}
    assert {str(code): status for status, (code, _) in _BY_STATUS.items()}.items() <= by_code.items()


@pytest.mark.parametrize(
    "page", [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"], ids=lambda page: page.name
)
def test_every_file_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"(?<![\w./-])((?:[a-z_]+/)+[\w-]+\.(?:py|md|js|css|html|png))", page.read_text())
    assert not [name for name in named if not (ROOT / name).exists()]
