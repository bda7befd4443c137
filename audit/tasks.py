"""The Celery tasks of the trail."""

from __future__ import annotations

from celery import shared_task

from audit import retention, sealing


@shared_task(name="audit.seal", ignore_result=True)
def seal() -> None:
    """Seal what was written since the last time."""
    sealing.seal_all()


@shared_task(name="audit.remove_old", ignore_result=True)
def remove_old() -> None:
    """Remove what is older than AUDIT_DAYS."""
    retention.remove_old()
