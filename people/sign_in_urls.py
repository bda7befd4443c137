"""Addresses of signing in, under the names by which django-allauth knows them. Nothing else of it is reachable."""

from __future__ import annotations

from allauth.account import views as account
from allauth.mfa.base import views as factor
from allauth.mfa.recovery_codes import views as codes
from allauth.mfa.totp import views as app
from allauth.mfa.webauthn import views as passkeys
from allauth.socialaccount import views as provider
from django.contrib.auth.views import LogoutView
from django.urls import path

from people import sign_in

urlpatterns = [
    path("login/", sign_in.Login.as_view(), name="account_login"),
    path("logout/", LogoutView.as_view(), name="account_logout"),
    path("login/disabled/", account.account_inactive, name="account_inactive"),
    path("login/code/", factor.authenticate, name="mfa_authenticate"),
    path("login/passkey/", passkeys.login_webauthn, name="mfa_login_webauthn"),
    path("login/forgotten/", sign_in.Forgotten.as_view(), name="account_reset_password"),
    path("login/forgotten/sent/", account.password_reset_done, name="account_reset_password_done"),
    path("login/forgotten/done/", account.password_reset_from_key_done, name="account_reset_password_from_key_done"),
    path(
        "login/forgotten/<str:uidb36>/<str:key>/",
        account.password_reset_from_key,
        name="account_reset_password_from_key",
    ),
    path("login/with/cancelled/", provider.login_cancelled, name="socialaccount_login_cancelled"),
    path("login/with/<slug:provider_id>/", sign_in.to_provider, name="openid_connect_login"),
    path("login/with/<slug:provider_id>/back/", sign_in.from_provider, name="openid_connect_callback"),
    path("profile/again/", account.reauthenticate, name="account_reauthenticate"),
    path("profile/again/code/", factor.reauthenticate, name="mfa_reauthenticate"),
    path("profile/again/passkey/", passkeys.reauthenticate_webauthn, name="mfa_reauthenticate_webauthn"),
    path("profile/second-factor/", factor.index, name="mfa_index"),
    path("profile/second-factor/app/", app.activate_totp, name="mfa_activate_totp"),
    path("profile/second-factor/app/remove/", app.deactivate_totp, name="mfa_deactivate_totp"),
    path("profile/second-factor/codes/", codes.view_recovery_codes, name="mfa_view_recovery_codes"),
    path("profile/second-factor/codes/new/", codes.generate_recovery_codes, name="mfa_generate_recovery_codes"),
    path("profile/second-factor/passkeys/", factor.index, name="mfa_list_webauthn"),
    path("profile/second-factor/passkeys/add/", passkeys.add_webauthn, name="mfa_add_webauthn"),
    path("profile/second-factor/passkeys/<int:pk>/remove/", passkeys.remove_webauthn, name="mfa_remove_webauthn"),
    path("profile/linked/", sign_in.linked, name="socialaccount_connections"),
]
