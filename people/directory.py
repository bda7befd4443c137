"""Logging in with the password of an LDAP directory, whose groups give roles. The one place that speaks LDAP."""

from __future__ import annotations

from typing import Any

import ldap
import ldap.dn
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import Group, User
from django.http import HttpRequest
from django_auth_ldap.backend import LDAPBackend, ldap_error
from django_auth_ldap.config import (
    GroupOfNamesType,
    GroupOfUniqueNamesType,
    LDAPSearch,
    LDAPSettings,
    PosixGroupType,
)

from kvmportal.services import Directory
from people.roles import HELPDESK_GROUP

TIME_LIMIT = 5  # seconds that the directory has for each answer

_GROUP_TYPES = {
    "member": (GroupOfNamesType, "groupOfNames"),
    "uniqueMember": (GroupOfUniqueNamesType, "groupOfUniqueNames"),
    "memberUid": (PosixGroupType, "posixGroup"),
}


class DirectoryFailed(Exception):
    """The directory did not answer, or refused the portal's own questions; nobody's password was looked at."""


class DirectoryBackend(LDAPBackend):
    """django-auth-ldap on `settings.DIRECTORY`. An account that did not come from the directory is not its to open.

    Accounts made here have no password in the portal. So a person of the directory cannot become, by name alone, an
    account that has one or that another provider opens.
    """

    _settings: LDAPSettings | None = None

    @property
    def settings(self) -> LDAPSettings:
        """Return django-auth-ldap's settings, made from ours."""
        if self._settings is None:
            self._settings = LDAPSettings(self.settings_prefix, _settings_of(_configured()))
        return self._settings

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **_: Any
    ) -> User | None:
        """Return whom name and password sign in, or None.

        Raises:
            DirectoryFailed: it is not known whether they do.
        """
        if not username or _is_of_elsewhere(username.strip()):
            return None
        user: User | None = super().authenticate(request, username=username, password=password)
        return user if user is not None and user.is_active else None

    def authenticate_ldap_user(self, ldap_user: Any, password: str) -> User | None:
        """Check the password; then the groups give the helpdesk role or take it."""
        user: User | None = super().authenticate_ldap_user(ldap_user, password)
        if user is not None and (helpdesk := _configured().helpdesk_group):
            group, _ = Group.objects.get_or_create(name=HELPDESK_GROUP)
            belongs = _normal(helpdesk) in {_normal(dn) for dn in ldap_user.group_dns}
            (user.groups.add if belongs else user.groups.remove)(group)
        return user

    def get_user(self, user_id: int) -> User | None:
        """Return the user of a session, nobody for one who is disabled."""
        user = ModelBackend().get_user(user_id)
        return user if isinstance(user, User) else None


def _configured() -> Directory:
    assert settings.DIRECTORY is not None  # noqa: S101  # this is a backend only where there is one
    return settings.DIRECTORY


def _is_of_elsewhere(username: str) -> bool:
    account = User.objects.filter(username__iexact=username).first()
    return account is not None and (
        account.has_usable_password() or SocialAccount.objects.filter(user=account).exists()
    )


def _normal(name: str) -> str:
    """Return a distinguished name as it is compared: neither spaces between its parts nor case matter."""
    normal: str = ldap.dn.dn2str(ldap.dn.str2dn(name)).lower()
    return normal


def _fail(exception: Exception, **_: Any) -> None:
    raise DirectoryFailed(str(exception)) from exception


ldap_error.connect(_fail, dispatch_uid="people.directory")


def _settings_of(directory: Directory) -> dict[str, Any]:
    """Return the directory as django-auth-ldap's settings, without their prefix."""
    group_type, group_class = _GROUP_TYPES[directory.group_member]
    flags = {
        "is_superuser": [directory.superuser_group],
        "is_staff": [directory.staff_group, directory.superuser_group],
    }
    return {
        "SERVER_URI": directory.url,
        "START_TLS": directory.starttls and directory.url.startswith("ldap://"),
        "CONNECTION_OPTIONS": _options_of(directory),
        "BIND_DN": directory.bind_dn,
        "BIND_PASSWORD": directory.bind_password,
        "USER_SEARCH": LDAPSearch(directory.users, ldap.SCOPE_SUBTREE, directory.user_filter),
        "USER_ATTR_MAP": {"first_name": "givenName", "last_name": "sn", "email": "mail"},
        "GROUP_SEARCH": LDAPSearch(
            directory.groups or directory.users, ldap.SCOPE_SUBTREE, f"(objectClass={group_class})"
        ),
        "GROUP_TYPE": group_type(),
        "REQUIRE_GROUP": directory.required_group or None,
        "USER_FLAGS_BY_GROUP": {
            flag: groups for flag, given in flags.items() if (groups := [dn for dn in given if dn])
        },
        "MIRROR_GROUPS": frozenset(directory.mirrored_groups) or None,
    }


def _options_of(directory: Directory) -> dict[int, Any]:
    options = {
        ldap.OPT_NETWORK_TIMEOUT: TIME_LIMIT,
        ldap.OPT_TIMEOUT: TIME_LIMIT,
        ldap.OPT_REFERRALS: 0,
        ldap.OPT_X_TLS_REQUIRE_CERT: ldap.OPT_X_TLS_DEMAND,
    }
    if directory.ca_file:
        options[ldap.OPT_X_TLS_CACERTFILE] = directory.ca_file
    return options | {ldap.OPT_X_TLS_NEWCTX: 0}  # the last: what was said of TLS holds from here on
