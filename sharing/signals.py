"""What other apps may listen to."""

from __future__ import annotations

from django.dispatch import Signal

ask_moved = Signal()
"""An ask was made, asked again or answered. `ask`: the row; `user_ids`: set of who may answer it. After commit."""
