"""What consoles keep in Redis, and for how long. Shared by the portal, which writes tickets, and the proxy."""

from __future__ import annotations

import hashlib

TICKET_SECONDS = 30
"""How long a ticket may be redeemed."""
LEASE_SECONDS = 60
"""How long a session lives without the portal having checked its right again."""
RENEW_SECONDS = 15
"""How often the portal checks and renews leases, and the proxy looks at them."""
PULSE_SECONDS = 45
"""How long after its proxy's last sign of life a session counts as served."""

PROXIES = "console:proxies"
"""Sorted set: names of the proxies that serve, each with when it last said so (Unix seconds)."""

END_CHANNEL = "console:end"
"""Published by the portal: {"session": id, "reason": word of endings.Ending}."""
TELL_CHANNEL = "console:tell"
"""Published by the portal: {"session": id, "tell": "mode", "mode": "view"} or {"session": id, "tell": "keep"}."""
EVENTS_STREAM = "console:events"
"""Written by proxies: session, event, at (Unix seconds), to_client, from_client, reason, and by event:

opened, bytes, closed: nothing more; mode: mode, which now holds; warned: ends_at (Unix seconds), reason is idle or
limit; recorded: file, bytes, seconds.
"""
EVENTS_KEPT = 10_000
AUDIT_GROUP = "audit"


def ticket_key(ticket: str) -> str:
    """Return where the claim of this ticket is kept. Only its SHA-256 is named: a ticket has 256 random bits."""
    return f"console:ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"


def lease_key(session: str) -> str:
    """Return the key that exists for as long as the portal vouches for this session; its value is the mode now."""
    return f"console:lease:{session}"


def pulse_key(session: str) -> str:
    """Return the key that exists for as long as a proxy serves this session."""
    return f"console:pulse:{session}"
