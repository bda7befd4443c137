"""What other apps may listen to."""

from __future__ import annotations

from django.dispatch import Signal

ask_moved = Signal()
"""An ask was made, asked again or answered. `ask`: the row; `user_ids`: set of who may answer it. After commit."""
departed = Signal()
"""The portal by itself dealt with machines of somebody who left, or could not. After commit.

`key`: names that, so that it is told once; `how`: `handed`, `saving`, `unsaved` or `given_up`; `user_id`, `name`: who
left, and may be deleted by now; `machine`: which one, or None; `facts`: `number`, `project`, `message`, where known.
"""
