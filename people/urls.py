"""URLs of signing in and of the profile page."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path

from people import views

app_name = "people"
urlpatterns = [
    path("login/", views.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("profile/", views.profile, name="profile"),
    path("profile/password/", views.change_password, name="change_password"),
    path("profile/tokens/", views.make_token, name="make_token"),
    path("profile/tokens/<int:pk>/revoke/", views.revoke_token, name="revoke_token"),
]
