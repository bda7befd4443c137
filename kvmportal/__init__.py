"""Wiring only: environment, settings, URLs, the API object, the ASGI and Celery applications."""
