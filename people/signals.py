"""What other apps may listen to. It is apart from `people.api_auth`, whose libraries only web processes need."""

from __future__ import annotations

from django.dispatch import Signal

token_used = Signal()
"""`token`, `request`: an API token is used for the first time that day (UTC)."""
logins_ended = Signal()
"""`request`, `count`: its user signed so many of their other browsers out."""
