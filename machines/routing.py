"""The portal's own sockets."""

from __future__ import annotations

from django.urls import path

from machines.consumers import UpdatesConsumer

websocket_urlpatterns = [path("ws/updates/", UpdatesConsumer.as_asgi())]
