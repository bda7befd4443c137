"""Libvirt's error numbers become our errors: every number, written out, with a sentence that a person can act on."""

from __future__ import annotations

import errno
import re

import libvirt
import pytest

from hypervisor import errors
from hypervisor.translation import AGENT, DEFINING, from_libvirt, unreachable

MEANINGS = {
    errors.HostUnreachable: """
        UNKNOWN_HOST NO_CONNECT INVALID_CONN GNUTLS_ERROR SSH LIBSSH NO_SERVER NO_CLIENT NO_HOSTNAME
    """,
    errors.DomainNotFound: "INVALID_DOMAIN NO_DOMAIN",
    errors.DomainInWrongState: "OPERATION_INVALID",
    errors.DomainBusy: "OPERATION_TIMEOUT RESOURCE_BUSY BLOCK_COPY_ACTIVE",
    errors.AgentUnavailable: "AGENT_UNRESPONSIVE AGENT_UNSYNCED",
    errors.OperationAborted: "OPERATION_ABORTED",
    errors.PermissionDenied: "OPERATION_DENIED ACCESS_DENIED AUTH_FAILED AUTH_CANCELLED AUTH_UNAVAILABLE",
    errors.NotSupported: """
        NO_SUPPORT INVALID_ARG CONFIG_UNSUPPORTED ARGUMENT_UNSUPPORTED OPERATION_UNSUPPORTED CPU_INCOMPATIBLE
    """,
    errors.BadDefinition: """
        OS_TYPE NO_KERNEL NO_ROOT NO_SOURCE NO_TARGET NO_NAME NO_OS NO_DEVICE XML_ERROR XML_DETAIL XML_INVALID_SCHEMA
        INVALID_MAC DOM_EXIST
    """,
    errors.PoolNotFound: "NO_STORAGE_POOL",
    errors.VolumeNotFound: "NO_STORAGE_VOL",
}
"""Every other number is a plain HypervisorError."""

EXPECTED = {f"VIR_ERR_{name}": kind for kind, names in MEANINGS.items() for name in names.split()}
LEVELS = {"VIR_ERR_OK", "VIR_ERR_NONE", "VIR_ERR_WARNING", "VIR_ERR_ERROR"}
EVERY_NUMBER = sorted(name for name in dir(libvirt) if name.startswith("VIR_ERR_") and name not in LEVELS)
TREE = [errors.HypervisorError, *errors.HypervisorError.__subclasses__()]


def raised(code: int, *, number: int = 0, text: str = "libvirt's own words") -> libvirt.libvirtError:
    """An error as libvirt-python builds it: code, domain, message, level, three strings, two numbers."""
    error = libvirt.libvirtError(text)
    error.err = (code, libvirt.VIR_FROM_QEMU, text, libvirt.VIR_ERR_ERROR, "%s", text, None, number, -1)
    return error


@pytest.mark.parametrize("name", EVERY_NUMBER)
def test_each_of_libvirts_numbers_has_a_meaning(name: str) -> None:
    error = from_libvirt(raised(getattr(libvirt, name)))
    assert type(error) is EXPECTED.get(name, errors.HypervisorError)
    assert (error.code, error.text) == (getattr(libvirt, name), "libvirt's own words")
    assert re.fullmatch(r"[A-Z].*[.?]", error.sentence)
    assert "libvirt" not in error.sentence.replace("libvirt URI", "")


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, errors.NoSpace),
        (errno.EDQUOT, errors.NoSpace),
        (errno.EACCES, errors.PermissionDenied),
        (errno.EPERM, errors.PermissionDenied),
        (errno.ECONNRESET, errors.DomainInWrongState),
        (errno.EPIPE, errors.DomainInWrongState),
        (errno.ENOMEM, errors.HypervisorError),
        (errno.ENOENT, errors.HypervisorError),
        (0, errors.HypervisorError),
    ],
)
def test_the_systems_own_number_decides_where_libvirt_passes_it_on(
    number: int, kind: type[errors.HypervisorError]
) -> None:
    assert type(from_libvirt(raised(libvirt.VIR_ERR_SYSTEM_ERROR, number=number))) is kind


@pytest.mark.parametrize("code", [libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, libvirt.VIR_ERR_OPERATION_TIMEOUT])
def test_some_numbers_mean_the_agent_while_it_is_asked(code: int) -> None:
    assert type(from_libvirt(raised(code), AGENT)) is errors.AgentUnavailable
    assert type(from_libvirt(raised(code))) is not errors.AgentUnavailable


@pytest.mark.parametrize("name", ["OPERATION_FAILED", "INVALID_ARG", "INTERNAL_ERROR"])
def test_some_numbers_mean_the_definition_while_it_is_handed_over(name: str) -> None:
    assert type(from_libvirt(raised(getattr(libvirt, f"VIR_ERR_{name}")), DEFINING)) is errors.BadDefinition


def test_texts_decide_nothing() -> None:
    misleading = "Domain not found: Guest agent is not responding: No space left on device"
    assert type(from_libvirt(raised(libvirt.VIR_ERR_OPERATION_INVALID, text=misleading))) is errors.DomainInWrongState
    assert type(from_libvirt(raised(libvirt.VIR_ERR_INTERNAL_ERROR, text=misleading))) is errors.HypervisorError


@pytest.mark.parametrize("name", EVERY_NUMBER)
def test_whatever_goes_wrong_while_opening_the_host_is_unreachable(name: str) -> None:
    assert type(unreachable(raised(getattr(libvirt, name)))) is errors.HostUnreachable


def test_a_refused_login_and_a_wrong_uri_say_so() -> None:
    assert "login" in unreachable(raised(libvirt.VIR_ERR_AUTH_FAILED)).sentence
    assert "URI" in unreachable(raised(libvirt.VIR_ERR_NO_CONNECT)).sentence


def test_an_error_without_libvirts_details_is_still_one_of_ours() -> None:
    error = libvirt.libvirtError("virDomainCreate() failed")
    error.err = None
    assert (from_libvirt(error).code, from_libvirt(error).text) == (None, "virDomainCreate() failed")
    assert type(unreachable(error)) is errors.HostUnreachable


def test_each_error_has_a_word_of_its_own_for_scripts() -> None:
    words = [kind.word for kind in TREE]
    assert len(set(words)) == len(words) == 18
    assert all(re.fullmatch(r"[a-z_]+", word) for word in words)


def test_the_tree_in_the_docstring_is_the_tree_in_the_code() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    assert drawn == [kind.__name__ for kind in TREE[1:]]


def test_libvirts_words_are_in_the_log_and_not_in_the_sentence() -> None:
    error = errors.NoSpace("The disk is full.", code=38, text="cannot write /var/lib/x")
    assert str(error) == "The disk is full. (libvirt 38: cannot write /var/lib/x)"
    assert str(errors.NoSpace("The disk is full.")) == "The disk is full."


def test_an_error_raised_again_is_equal_and_holds_no_traceback() -> None:
    try:
        raise errors.HostUnreachable("Gone.", code=38, text="refused")
    except errors.HostUnreachable as error:
        again = error.again()
    assert (type(again), again.sentence, again.code, again.text) == (errors.HostUnreachable, "Gone.", 38, "refused")
    assert again.__traceback__ is None
