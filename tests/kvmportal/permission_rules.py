"""Who may ask what of the portal: one rule for each URL and method, written by hand.

Nothing here is computed from the portal's own checks: the matrix test holds the two against each other, and fails for a
URL that has no rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any


class Who(IntEnum):
    """The least that a person needs. The ones from SEE to OWN are rights over the machine that is asked about."""

    ANYONE = 0
    SIGNED_IN = 1
    SEE = 2
    VIEW = 3
    OPERATE = 4
    OWN = 5
    ADMIN = 6


RIGHTS: Mapping[str, Who] = {
    "stranger": Who.SIGNED_IN,
    "helpdesk": Who.SEE,
    "viewer": Who.VIEW,
    "operator": Who.OPERATE,
    "visiting helper": Who.VIEW,
    "project viewer": Who.VIEW,
    "project operator": Who.OPERATE,
    "project owner": Who.OWN,
    "group viewer": Who.VIEW,
    "group operator": Who.OPERATE,
    "group owner": Who.OWN,
    "owner": Who.OWN,
    "admin": Who.ADMIN,
}
"""What each of the cast has over the machine.

Those of a group hold their grant through it; those of a project are members of one that holds an owner's grant. The
visiting helper helps its user, who consented.
"""

NOBODY = ("anonymous", "disabled", "revoked")
"""Who is not signed in: the last two were, as the machine's owner."""


@dataclass(frozen=True)
class Rule:
    """One request and who may make it.

    `denied` is what those get who may know of the machine, but have too little; `hidden`, who may not. `only` names the
    ones who may, where it is about a row of their own; `known_to` those who may know of it, where that is not a matter
    of the machine. What is `absent` here (a provider, somebody's second factor) is not found by anybody.
    """

    method: str
    who: Who = Who.SIGNED_IN
    denied: int = 403
    hidden: int = 404
    body: Mapping[str, Any] = field(default_factory=dict)
    query: str = ""
    only: frozenset[str] | None = None
    known_to: frozenset[str] | None = None
    absent: bool = False


def own(method: str, *more: str, **rest: Any) -> Rule:
    """Return the rule of a row that is the owner's own: others are told that there is no such thing."""
    return Rule(method, only=frozenset({"owner", *more}), **{"denied": 404} | rest)


PARTIES = frozenset({"owner", "helpdesk", "visiting helper", "admin", "group owner", "project owner"})
"""Who may know of the owner's request for help."""


def of_help(method: str, **rest: Any) -> Rule:
    """Return the rule of a request for help."""
    return Rule(method, only=PARTIES, **{"denied": 404} | rest)


ITS_USERS = Rule("POST", only=frozenset({"owner"}), known_to=PARTIES)
A_HELPERS = Rule("POST", only=frozenset({"helpdesk", "visiting helper", "admin"}), known_to=PARTIES)
NOBODY_HAS_TAKEN_IT = Rule("POST", only=frozenset(), known_to=PARTIES)
OPERATORS = frozenset(role for role, right in RIGHTS.items() if right >= Who.OPERATE)


def of_helpers(**rest: Any) -> Rule:
    """Return the rule of what helpers do with a machine that others may see."""
    return Rule("POST", only=A_HELPERS.only, **rest)


IN_PROJECT = frozenset({"project viewer", "project operator", "project owner", "admin"})
TEMPLATE = "Small"  # of a test's template
SECRET = "the secret of a link"  # of a test's link


def in_project(method: str, **rest: Any) -> list[Rule]:
    """Return the rules of what a project's owners decide: its other members may know of it."""
    deciders = frozenset({"project owner", "admin"})
    return [Rule(method, only=deciders, known_to=IN_PROJECT, **rest)]


def of_request(method: str, *more: str, **rest: Any) -> list[Rule]:
    """Return the rules of a request for a machine, which the project's viewer asked: others are told of no such thing.

    Its owners answer it.
    """
    return [Rule(method, only=frozenset({"project owner", "admin", *more}), denied=404, **rest)]


LISTED = [Rule("GET")]
ADMINISTRATORS = {"who": Who.ADMIN, "denied": 404}
TICKETS = {"protocol": "vnc", "mode": "view"}

RULES: Mapping[str, list[Rule]] = {
    # Pages
    "lifecycle:machines": LISTED,
    "lifecycle:names": LISTED,
    "lifecycle:operations": LISTED,
    "lifecycle:new_machine": [Rule("GET", **ADMINISTRATORS), Rule("POST", **ADMINISTRATORS)],
    "lifecycle:machine": [Rule("GET", Who.SEE)],
    "lifecycle:machine_timeline": [Rule("GET", Who.OWN)],
    "lifecycle:machine_history": [Rule("GET", Who.SEE)],
    "lifecycle:machine_consoles": [Rule("GET", Who.VIEW)],
    "lifecycle:saved_files": [Rule("GET", Who.OPERATE)],
    "lifecycle:machine_definition": [Rule("GET", Who.OWN)],
    "lifecycle:undefine": [Rule("GET", Who.OWN)],
    "lifecycle:define": [Rule("GET", Who.ADMIN)],
    "lifecycle:send_keys": [Rule("GET", Who.ADMIN)],
    "lifecycle:request": [Rule("POST", Who.OPERATE)],
    "lifecycle:bulk_ask": [Rule("POST", body={"kind": "suspend"})],
    "lifecycle:bulk": [own("GET", "admin")],
    "lifecycle:operation": [Rule("GET", Who.SEE)],
    "lifecycle:cancel": [Rule("POST", Who.OPERATE, denied=302)],  # back to where it was asked, with a sentence
    "lifecycle:hosts": [Rule("GET", **ADMINISTRATORS)],
    "lifecycle:host": [Rule("GET", **ADMINISTRATORS)],
    "lifecycle:test_host": [Rule("POST", **ADMINISTRATORS)],
    "audit:trail": [Rule("GET", **ADMINISTRATORS)],
    "audit:export": [Rule("GET", query="?format=json", **ADMINISTRATORS)],
    "audit:access": [Rule("GET", **ADMINISTRATORS)],
    "fleet:fleet": [Rule("GET", **ADMINISTRATORS)],
    "fleet:end_console": [Rule("POST", **ADMINISTRATORS)],
    "consoles:console": [Rule("GET", Who.VIEW)],
    "consoles:picture": [Rule("GET", Who.VIEW)],
    "consoles:thumbnails": [Rule("POST", Who.OWN)],
    "consoles:viewer_file": [Rule("POST", Who.VIEW, body={"protocol": "vnc"})],
    "consoles:recording": [Rule("GET", Who.OWN)],
    "consoles:tape": [Rule("GET", Who.OWN)],
    "account_login": [Rule("GET", Who.ANYONE), Rule("POST", Who.ANYONE)],
    "account_logout": [Rule("POST", Who.ANYONE)],
    "account_inactive": [Rule("GET", Who.ANYONE)],
    "account_reset_password": [Rule("GET", Who.ANYONE)],
    "account_reset_password_done": [Rule("GET", Who.ANYONE)],
    "account_reset_password_from_key": [Rule("GET", Who.ANYONE)],
    "account_reset_password_from_key_done": [Rule("GET", Who.ANYONE)],
    "mfa_authenticate": [Rule("GET", Who.ANYONE), Rule("POST", Who.ANYONE)],
    "mfa_login_webauthn": [Rule("GET", Who.ANYONE)],
    "openid_connect_login": [Rule("POST", Who.ANYONE, absent=True)],
    "openid_connect_callback": [Rule("GET", Who.ANYONE, absent=True)],
    "socialaccount_login_cancelled": [Rule("GET", Who.ANYONE)],
    "account_reauthenticate": LISTED,
    "mfa_reauthenticate": LISTED,
    "mfa_reauthenticate_webauthn": LISTED,
    "mfa_index": LISTED,
    "mfa_activate_totp": [Rule("GET"), Rule("POST")],
    "mfa_deactivate_totp": [Rule("GET", absent=True), Rule("POST", absent=True)],
    "mfa_view_recovery_codes": [Rule("GET", absent=True)],
    "mfa_generate_recovery_codes": [Rule("GET"), Rule("POST")],
    "mfa_list_webauthn": LISTED,
    "mfa_add_webauthn": [Rule("GET"), Rule("POST")],
    "mfa_remove_webauthn": [Rule("GET"), Rule("POST")],  # the password first
    "socialaccount_connections": [Rule("GET", absent=True), Rule("POST", absent=True)],
    "people:logins": LISTED,
    "people:end_others": [Rule("POST")],
    "people:end_login": [own("POST")],
    "people:login": [Rule("GET", Who.ANYONE)],
    "people:logout": [Rule("POST", Who.ANYONE)],
    "people:profile": LISTED,
    "people:change_password": [Rule("POST")],
    "people:make_token": [Rule("POST")],
    "people:revoke_token": [own("POST")],
    "notices:notices": LISTED,
    "notices:read": [Rule("POST")],
    "notices:choose": [Rule("POST")],
    "sharing:access": [Rule("GET", Who.SEE)],
    "sharing:share": [Rule("POST", Who.OWN)],
    "sharing:revoke": [Rule("POST", Who.OWN)],
    "sharing:make_link": [Rule("POST", Who.OWN)],
    "sharing:revoke_link": [Rule("POST", Who.OWN)],
    "sharing:hand_over": [Rule("POST", Who.OWN)],
    "sharing:ask": [Rule("POST", Who.SEE, body={"role": "viewer"})],
    "sharing:link": [Rule("GET"), Rule("POST")],
    "sharing:asks": LISTED,
    "sharing:answer": [Rule("POST", Who.OWN, denied=404, body={"answer": "decline"})],
    "sharing:withdraw": [Rule("POST", only=frozenset({"viewer"}), denied=404)],
    "sharing:quota": [Rule("GET", **ADMINISTRATORS)],
    "sharing:projects": [Rule("GET"), Rule("POST", Who.ADMIN, hidden=403)],
    "sharing:project": [Rule("GET", only=IN_PROJECT, denied=404)],
    "sharing:set_member": [*in_project("POST")],
    "sharing:remove_member": [*in_project("POST")],
    "making:requests": LISTED,
    "making:new": [Rule("GET"), Rule("POST", body={"name": "new", "template": TEMPLATE})],
    "making:room": LISTED,
    "making:request": [*of_request("GET", "project viewer")],
    "making:grant": [*of_request("POST", body={"name": "wanted"})],
    "making:decline": [*of_request("POST")],
    "making:withdraw": [Rule("POST", only=frozenset({"project viewer"}), denied=404)],
    "assist:queue": LISTED,
    "assist:assist": [of_help("GET")],
    "assist:picture": [of_help("GET")],
    "assist:say": [ITS_USERS],
    "assist:move": [A_HELPERS],
    "assist:help": [Rule("GET", Who.OPERATE, only=frozenset({"helpdesk", "visiting helper", *OPERATORS}))],
    "assist:lines": [Rule("GET", Who.SEE)],
    "assist:begin": [Rule("POST", Who.OPERATE)],
    "browser_script": [Rule("GET", Who.ANYONE)],
    "healthz": [Rule("GET", Who.ANYONE)],
    "readyz": [Rule("GET", Who.ANYONE)],
    # API
    "api:openapi-json": [Rule("GET", Who.ANYONE)],
    "api:api-root": [],  # a name for links to the API; it answers nothing
    "api:machines": LISTED,
    "api:make_machine": [Rule("POST", Who.ADMIN, hidden=403, body={"host": "host-1", "xml": "<domain/>"})],
    "api:names": LISTED,
    "api:machine": [Rule("GET", Who.SEE)],
    "api:request_operation": [Rule("POST", Who.OPERATE, body={"operation": "suspend"})],
    "api:list_operations": LISTED,
    "api:operation": [Rule("GET", Who.SEE)],
    "api:cancel": [Rule("POST", Who.OPERATE)],
    "api:ask": [Rule("POST", body={"operation": "suspend", "machines": []})],
    "api:look": [own("GET", "admin")],
    "api:list_saved_files": [Rule("GET", Who.OPERATE)],
    "api:hosts": [Rule("GET", Who.ADMIN, hidden=403)],
    "api:trail": [Rule("GET", **ADMINISTRATORS)],
    "api:download": [Rule("GET", query="?format=json", **ADMINISTRATORS)],
    "api:access": [Rule("GET", query="?machine=machine&at=2026-11-26T10:00", **ADMINISTRATORS)],
    "api:timeline": [Rule("GET", Who.OWN)],
    "api:access_to": [Rule("GET", Who.OWN, query="?at=2026-11-26T10:00")],
    "api:list_grants": [Rule("GET", Who.OWN)],
    "api:add_grant": [Rule("POST", Who.OWN, body={"user": "stranger", "role": "viewer"})],
    "api:revoke_grant": [Rule("POST", Who.OWN)],
    "api:list_links": [Rule("GET", Who.OWN)],
    "api:make_link": [Rule("POST", Who.OWN, body={"role": "viewer", "expires_at": "2099-01-01T00:00:00Z"})],
    "api:revoke_link": [Rule("POST", Who.OWN)],
    "api:take_link": [Rule("POST", body={"secret": SECRET})],
    "api:hand_over": [Rule("POST", Who.OWN, body={"user": "stranger"})],
    "api:list_asks": LISTED,
    "api:ask_for_right": [Rule("POST", Who.SEE, body={"role": "owner"})],
    "api:answer": [Rule("POST", Who.OWN, denied=404, body={"grant": False})],
    "api:withdraw_ask": [Rule("POST", only=frozenset({"viewer"}), denied=404)],
    "api:own_quota": LISTED,
    "api:list_projects": LISTED,
    "api:make_project": [Rule("POST", Who.ADMIN, hidden=403, body={"name": "Another"})],
    "api:project": [Rule("GET", only=IN_PROJECT, denied=404)],
    "api:set_member": [*in_project("POST", body={"user": "stranger", "role": "viewer"})],
    "api:remove_member": [*in_project("POST")],
    "api:list_templates": LISTED,
    "api:list_requests": LISTED,
    "api:ask_for_machine": [Rule("POST", body={"name": "new", "template": TEMPLATE})],
    "api:look_at_request": [*of_request("GET", "project viewer")],
    "api:answer_request": [*of_request("POST", body={"grant": True}), *of_request("POST", body={"grant": False})],
    "api:withdraw_request": [Rule("POST", only=frozenset({"project viewer"}), denied=404)],
    "api:list_assists": LISTED,
    "api:get_assist": [of_help("GET")],
    "api:get_picture": [of_help("GET")],
    "api:ask_for_help": [Rule("POST", Who.OPERATE, body={"note": "help"})],
    "api:offer": [of_helpers(body={"note": "help"})],
    "api:break_glass": [of_helpers(body={"reason": "smoke"})],
    "api:take": [A_HELPERS],
    "api:release": [NOBODY_HAS_TAKEN_IT],
    "api:accept": [ITS_USERS],
    "api:decline": [ITS_USERS],
    "api:withdraw_help": [ITS_USERS],
    "api:join": [NOBODY_HAS_TAKEN_IT],
    "api:end": [replace(ITS_USERS, only=frozenset({"owner", "project owner", "group owner", "admin"}))],
    "api:list_messages": [replace(ITS_USERS, method="GET", only=frozenset({"owner", "admin"}))],
    "api:say": [replace(ITS_USERS, body={"text": "hello"})],
    "api:fleet": [Rule("GET", **ADMINISTRATORS)],
    "api:test_host": [Rule("POST", **ADMINISTRATORS)],
    "api:host_test": [Rule("GET", **ADMINISTRATORS)],
    "api:notices": LISTED,
    "api:read_notices": [Rule("POST", body={"up_to": 1})],
    "api:updates_ticket": [Rule("POST")],
    "api:console_tickets": [
        Rule("POST", Who.VIEW, body=TICKETS),
        Rule("POST", Who.OPERATE, body=TICKETS | {"mode": "control"}),
        Rule("POST", Who.VIEW, body=TICKETS | {"protocol": "serial"}),
        Rule("POST", Who.OPERATE, body=TICKETS | {"protocol": "serial", "mode": "control"}),
        Rule("POST", Who.VIEW, body=TICKETS | {"protocol": "spice"}),
        Rule("POST", Who.OPERATE, body=TICKETS | {"protocol": "spice", "mode": "control"}),
        Rule("POST", Who.VIEW, body=TICKETS | {"protocol": "pictures"}),
    ],
    "api:viewer_file": [
        Rule("POST", Who.VIEW, body=TICKETS),
        Rule("POST", Who.OPERATE, body=TICKETS | {"mode": "control"}),
    ],
    "api:list_consoles": [Rule("GET", Who.SEE)],
    "api:change_control": [own("POST", denied=403, body={"action": "ask"})],
    "api:keep": [own("POST", denied=403)],
    "api:typed": [own("POST", denied=403, body={"characters": 3, "secret": False})],
    "api:console_check": [Rule("GET", Who.VIEW, query="?protocol=vnc")],
    "api:console_probe": [Rule("POST", Who.VIEW, body={"protocol": "vnc"})],
    "api:want_pictures": [Rule("POST", body={"machines": []})],
    "api:picture": [Rule("GET", Who.VIEW)],
    "api:picture_stream": [own("GET", denied=403)],
    "api:leave_picture_stream": [own("POST", denied=403)],
}

OPEN_IN_ADMIN = {"admin:login", "admin:logout", "admin:jsi18n"}
"""What whoever is not signed in may ask of Django admin. The rest is for administrators."""
