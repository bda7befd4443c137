"""What the provider of `tests.people.provider` says beside allauth's own claims: a person's groups, by two names."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from allauth.idp.oidc.adapter import DefaultOIDCAdapter


class NamesGroups(DefaultOIDCAdapter):
    """Names groups as providers do: a list of its own, and Keycloak's inner one."""

    def get_claims(self, purpose: str, user: Any, client: Any, scopes: Iterable[str], **kwargs: Any) -> dict[str, Any]:
        claims: dict[str, Any] = super().get_claims(purpose, user, client, scopes, **kwargs)
        groups = list(user.groups.values_list("name", flat=True))
        if groups and "profile" in scopes:
            claims |= {"groups": groups, "realm_access": {"roles": groups}}
        return claims
