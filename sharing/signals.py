"""What other apps may listen to."""

from __future__ import annotations

from django.dispatch import Signal

ask_moved = Signal()
"""An ask was made, asked again or answered. `ask`: the row; `user_ids`: set of who may answer it. After commit."""
departed = Signal()
"""The portal by itself dealt with machines of somebody who left, or could not. After commit.

`key`: names that, so that it is told once; `how`: `handed`, `saving`, `unsaved` or `given_up`; `name`: who left;
`url`: where it is looked at; `machine`: which one, or None; `facts`: `number`, `project`, `message`, where it has them.
"""
