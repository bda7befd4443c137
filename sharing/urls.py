"""URLs of access to machines, asks, links and projects."""

from __future__ import annotations

from django.urls import path

from sharing import ask_views, project_views, views

app_name = "sharing"
urlpatterns = [
    path("machines/<uuid:uuid>/access/", views.access, name="access"),
    path("machines/<uuid:uuid>/access/share/", views.share, name="share"),
    path("machines/<uuid:uuid>/access/grants/<int:pk>/revoke/", views.revoke, name="revoke"),
    path("machines/<uuid:uuid>/access/links/", views.make_link, name="make_link"),
    path("machines/<uuid:uuid>/access/links/<int:pk>/revoke/", views.revoke_link, name="revoke_link"),
    path("machines/<uuid:uuid>/access/hand-over/", views.hand_over, name="hand_over"),
    path("machines/<uuid:uuid>/access/ask/", ask_views.ask, name="ask"),
    path("shared/<str:secret>/", views.link, name="link"),
    path("asks/", ask_views.asks, name="asks"),
    path("asks/<int:pk>/answer/", ask_views.answer, name="answer"),
    path("asks/<int:pk>/withdraw/", ask_views.withdraw, name="withdraw"),
    path("quota/", project_views.quota, name="quota"),
    path("projects/", project_views.projects, name="projects"),
    path("projects/<int:pk>/", project_views.project, name="project"),
    path("projects/<int:pk>/members/", project_views.set_member, name="set_member"),
    path("projects/<int:pk>/members/<int:member>/remove/", project_views.remove_member, name="remove_member"),
]
