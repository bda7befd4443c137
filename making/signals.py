"""What other apps may listen to."""

from __future__ import annotations

from django.dispatch import Signal

request_moved = Signal()
"""A machine was asked for, or that was answered. `row`: the request; `user_ids`: who may answer. After commit."""
