"""URLs of signing in and of the profile page."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path

from people import sign_in, views

app_name = "people"
urlpatterns = [
    path("login/", sign_in.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    path("profile/", views.profile, name="profile"),
    path("profile/password/", views.change_password, name="change_password"),
    path("profile/logins/", views.logins, name="logins"),
    path("profile/logins/end-others/", views.end_others, name="end_others"),
    path("profile/logins/<int:pk>/end/", views.end_login, name="end_login"),
    path("profile/tokens/", views.make_token, name="make_token"),
    path("profile/tokens/<int:pk>/revoke/", views.revoke_token, name="revoke_token"),
]
