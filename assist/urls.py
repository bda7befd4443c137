"""The pages of help."""

from __future__ import annotations

from django.urls import path

from assist import views

app_name = "assist"
urlpatterns = [
    path("help/", views.queue, name="queue"),
    path("help/<int:pk>/", views.assist, name="assist"),
    path("help/<int:pk>/picture/", views.picture, name="picture"),
    path("help/<int:pk>/say/", views.say, name="say"),
    path("help/<int:pk>/<slug:name>/", views.move, name="move"),
    path("machines/<uuid:uuid>/help/", views.help_form, name="help"),
    path("machines/<uuid:uuid>/help/lines/", views.lines, name="lines"),
    path("machines/<uuid:uuid>/help/<slug:kind>/", views.begin, name="begin"),
]
