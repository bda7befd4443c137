"""What is announced reaches every open socket at once, and again when a message was lost."""

from __future__ import annotations

import pytest
from django.utils import timezone

from maintenance.models import Level, Maintenance
from maintenance.notices import announced

pytestmark = pytest.mark.django_db(transaction=True)


def announce() -> Maintenance:
    return Maintenance.objects.create(text="Soon.", level=Level.CLOSED, begins_at=timezone.now())


def test_a_maintenance_is_told_to_everybody_when_it_is_made_changed_and_deleted(owner, stranger, open_socket):
    sockets = [open_socket(owner), open_socket(stranger)]
    row = announce()
    for socket in sockets:
        (told,) = [message for message in socket.rest() if message["type"] == "maintenance"]
        assert [(notice["text"], notice["closes"]) for notice in told["notices"]] == [("Soon.", True)]
        assert told["version"] == announced()["version"]
    row.ends_at = timezone.now()
    row.save()
    row.delete()
    for socket in sockets:
        assert [message["notices"] for message in socket.rest() if message["type"] == "maintenance"] == [[], []]


def test_a_lost_message_is_made_up_for_with_the_next_versions(owner, open_socket):
    socket = open_socket(owner)
    row = announce()
    socket.rest()
    versions = {"type": "versions", "machines": {}}
    for has, lacks in (("", True), (announced()["version"], False)):
        socket.say(versions | {"notices": has})
        assert [message["type"] for message in socket.rest()] == (["maintenance"] if lacks else [])
    Maintenance.objects.filter(pk=row.pk).update(ends_at=timezone.now())  # time passes, nobody says a word
    socket.say(versions | {"notices": "the version that was told"})
    assert socket.take_until("maintenance")[-1] == {"type": "maintenance", "version": "", "notices": []}


def test_who_does_not_ask_is_told_of_changes_only(owner, open_socket):
    announce()
    socket = open_socket(owner)
    socket.say({"type": "versions", "machines": {}})
    assert [message for message in socket.rest() if message["type"] == "maintenance"] == []
