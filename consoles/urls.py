"""The console's page, pictures of screens, and files for virt-viewer."""

from __future__ import annotations

from django.urls import path

from consoles import picture_views, recording_views, viewer_views, views

app_name = "consoles"
urlpatterns = [
    path("machines/<uuid:uuid>/console/", views.console, name="console"),
    path("machines/<uuid:uuid>/picture/", picture_views.picture, name="picture"),
    path("machines/<uuid:uuid>/thumbnails/", picture_views.thumbnails, name="thumbnails"),
    path("recordings/<int:pk>/", recording_views.recording, name="recording"),
    path("recordings/<int:pk>/tape/", recording_views.tape, name="tape"),
    path("machines/<uuid:uuid>/viewer-file/", viewer_views.viewer_file, name="viewer_file"),
]
