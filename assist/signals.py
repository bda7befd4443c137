"""What other apps may listen to, for a trail of their own. Each is sent after the commit; all values are plain.

`moved`: an assist began or moved. `event` is a word of `assist.models.EventKind`, `by_id` and `by` are who did it (None
and "" for the portal itself); then `assist_id`, `kind`, `state`, `machine` (its UUID), `machine_name`, `user_id`,
`user`, `helper_id`, `helper`, `note` and `at`.
`broke_glass`: a helper looks at a machine without consent. It has what `moved` has, and `reason`, `control` (whether it
may be operated too), `until`, `owner_id` and `owner`.
"""

from __future__ import annotations

from django.dispatch import Signal

moved = Signal()
broke_glass = Signal()
