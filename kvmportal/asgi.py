"""The ASGI application: pages and API by Django, `/ws/updates/` by Channels."""

from __future__ import annotations

import os

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kvmportal.settings")
http = get_asgi_application()

from consoles import auditor  # noqa: E402  # apps must be loaded first
from machines.routing import websocket_urlpatterns  # noqa: E402

auditor.start()
application = ProtocolTypeRouter({"http": http, "websocket": AuthMiddlewareStack(URLRouter(websocket_urlpatterns))})
