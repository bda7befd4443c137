"""API tokens. Users and groups are Django's own."""

from __future__ import annotations

import hashlib
import secrets
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

TOKEN_PREFIX = "kvmp_"  # noqa: S105  # lets secret scanners recognise our tokens


def digest_of(token: str) -> str:
    """Return the SHA-256 by which a token is kept. The token has 256 random bits, so no salt is needed."""
    return hashlib.sha256(token.encode()).hexdigest()


class ApiToken(models.Model):
    """A bearer token of one user. Only its digest is kept; the token itself is shown once, when it is made."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_tokens", verbose_name=_("user")
    )
    name = models.CharField(_("name"), max_length=80)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)

    class Meta:
        ordering: ClassVar = ["-created_at"]
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return f"{self.name} ({self.user})"

    @classmethod
    def make(cls, user_id: int, name: str) -> tuple[ApiToken, str]:
        """Make a token; return its row and the token, which cannot be shown again."""
        token = TOKEN_PREFIX + secrets.token_urlsafe(32)
        return cls.objects.create(user_id=user_id, name=name, digest=digest_of(token)), token
