"""Every URL against everybody: the rules stand in permission_rules.py, the URLs come from the URL conf itself."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from allauth.usersessions.models import UserSession
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import User
from django.db import transaction
from django.http import HttpResponse
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from django.utils import timezone

from assist.models import Assist, Kind
from assist.models import State as AssistState
from assist.snapshots import facts_of
from consoles.models import ConsoleSession, Mode, Protocol, Recording
from consoles.proxy.endings import Ending
from kvmportal.environment import ROOT
from lifecycle.models import Bulk, HostTest, Operation
from machines.models import Grant, Machine, ShareLink
from making.models import MachineRequest, MachineTemplate
from people.models import ApiToken, Membership, Project, Role, digest_of
from sharing.models import Ask
from tests.cast import person
from tests.kvmportal.permission_rules import NOBODY, OPEN_IN_ADMIN, RIGHTS, RULES, SECRET, TEMPLATE, Rule, Who
from tests.lifecycle.allowed import ASKS, XML

ANY_METHOD = ("api:openapi-json", "people:login", "account_", "mfa_", "socialaccount_", "openid_connect_")
"""What answers any method in its own way (allauth's pages do): nothing but a look comes of it."""
SIGN_IN = -1
KEPT_ON_REFUSAL = {"audit", "consoles"}
"""Apps that may note a request that they refuse."""
WORDS = {"viewer": Who.VIEW, "operator": Who.OPERATE, "owner": Who.OWN, "admin": Who.ADMIN}


@dataclass(frozen=True)
class Url:
    """One entry of the URL conf."""

    name: str
    route: str

    def filled(self, values: Mapping[str, object]) -> str:
        """Return an address of it."""
        path = self.route
        for converter, name in self._parameters():
            path = path.replace(f"<{converter}{name}>", str(values[f"{self.name} {name}"]))
        return f"/{path}"

    def _parameters(self) -> Iterator[tuple[str, str]]:
        for part in self.route.split("<")[1:]:
            converter, colon, name = part.partition(">")[0].rpartition(":")
            yield converter + colon, name


def every_url() -> list[Url]:
    """Return all that the portal answers, as Django resolves it."""
    return list(_walk(get_resolver().url_patterns, "", ""))


def _walk(patterns: list[Any], route: str, namespace: str) -> Iterator[Url]:
    for entry in patterns:
        here = route + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _walk(entry.url_patterns, here, namespace + (f"{entry.namespace}:" if entry.namespace else ""))
        elif isinstance(entry, URLPattern):
            yield Url(namespace + (entry.name or "?"), here)


URLS = every_url()
PORTAL = sorted({url.name: url for url in URLS if not url.name.startswith("admin:")}.values(), key=lambda url: url.name)


class Stand:
    """The machine that is asked about, a row of each kind that has an address, and everybody."""

    def __init__(self, machine: Machine, people: Mapping[str, User]) -> None:
        self.machine = machine
        self.people = people
        owner = people["owner"]
        operation = Operation.objects.create(machine=machine, kind="suspend", requested_by=owner)
        console = ConsoleSession.objects.create(
            machine=machine, user=owner, protocol=Protocol.VNC, mode=Mode.CONTROL, wanted_mode=Mode.CONTROL
        )
        pictures = ConsoleSession.objects.create(
            machine=machine,
            user=owner,
            protocol=Protocol.PICTURES,
            mode=Mode.VIEW,
            wanted_mode=Mode.VIEW,
            ended_at=timezone.now(),
            end_reason=Ending.LEFT,
        )
        recording = Recording.objects.create(session=console, file="matrix").pk
        Path(settings.RECORDINGS_DIR, "matrix").write_bytes(b"a tape")
        bulk = Bulk.objects.create(kind="suspend", requested_by=owner).pk
        token = ApiToken.make(owner.pk, "the owner's")[0].pk
        test = HostTest.objects.create(host=machine.host, requested_by=people["admin"]).pk
        grant = Grant.objects.create(machine=machine, user=person("somebody"), role=Role.VIEWER).pk
        until = timezone.now() + timedelta(hours=1)
        link = ShareLink.objects.create(machine=machine, made_by=owner, digest=digest_of(SECRET), expires_at=until).pk
        ask_for_right = Ask.objects.create(machine=machine, asked_by=people["viewer"], role=Role.OWNER).pk
        project = Project.objects.get(memberships__user=people["project owner"]).pk
        member = Membership.objects.get(user=people["project viewer"]).pk
        sizes = {"vcpus": 1, "memory_mib": 64, "disk_gib": 1}
        template = MachineTemplate.objects.create(name=TEMPLATE, host=machine.host, **sizes)
        wanted = MachineRequest.objects.create(
            asked_by=people["project viewer"], project_id=project, template=template, name="wanted", **sizes
        ).pk
        login = UserSession.objects.create(user=owner, session_key="another", ip="192.0.2.1", user_agent="a browser").pk
        self._assist = Assist.objects.create(
            machine=machine, user=owner, kind=Kind.ASKED, state=AssistState.WAITING, facts=facts_of(machine)
        ).pk
        self._values: dict[str, object] = {
            "lifecycle:request kind": "suspend",
            "lifecycle:bulk pk": bulk,
            "lifecycle:host name": machine.host.name,
            "lifecycle:test_host name": machine.host.name,
            "lifecycle:operation pk": operation.pk,
            "lifecycle:cancel pk": operation.pk,
            "fleet:end_console session": console.pk,
            "consoles:recording pk": recording,
            "consoles:tape pk": recording,
            "people:revoke_token pk": token,
            "api:operation operation_id": operation.pk,
            "api:cancel operation_id": operation.pk,
            "api:look bulk_id": bulk,
            "api:test_host host_id": machine.host_id,
            "api:host_test host_id": machine.host_id,
            "api:host_test test_id": test,
            "api:change_control session": console.pk,
            "api:keep session": console.pk,
            "api:typed session": console.pk,
            "api:picture_stream session": pictures.pk,
            "api:leave_picture_stream session": pictures.pk,
            "sharing:revoke pk": grant,
            "sharing:revoke_link pk": link,
            "sharing:link secret": SECRET,
            "sharing:answer pk": ask_for_right,
            "sharing:withdraw pk": ask_for_right,
            "sharing:project pk": project,
            "sharing:set_member pk": project,
            "sharing:remove_member pk": project,
            "sharing:remove_member member": member,
            **{f"making:{name} pk": wanted for name in ("request", "grant", "decline", "withdraw")},
            **{f"api:{name} request_id": wanted for name in ("look_at_request", "answer_request", "withdraw_request")},
            "assist:move name": "take",
            "assist:begin kind": "ask",
            "api:revoke_grant grant_id": grant,
            "api:revoke_link link_id": link,
            "api:answer ask_id": ask_for_right,
            "api:withdraw_ask ask_id": ask_for_right,
            "api:project project_id": project,
            "api:set_member project_id": project,
            "api:remove_member project_id": project,
            "api:remove_member member_id": member,
            "people:end_login pk": login,
            "mfa_remove_webauthn pk": 1,
            "openid_connect_login provider_id": "none",
            "openid_connect_callback provider_id": "none",
            "account_reset_password_from_key uidb36": "1",
            "account_reset_password_from_key key": "guessed",
            "browser_script language": "en",
            "browser_script fingerprint": "any",
        }

    def __getitem__(self, parameter: str) -> object:
        """Return what stands in this place of a URL; the machine, unless something else does."""
        if parameter.endswith(" uuid"):
            return self.machine.pk
        if parameter.startswith(("assist:", "api:")) and parameter.endswith(" pk"):
            return self._assist
        return self._values[parameter]

    def client(self, role: str, *, script: bool) -> Client:
        """Return the browser or the script of a person; of nobody, whose login is over or never was."""
        if role == "anonymous":
            return Client()
        user = self.people[role if role in RIGHTS else "owner"]
        client = Client() if not script else Client(headers={"Authorization": f"Bearer {self._token(user, role)}"})
        if not script:
            client.force_login(user)
        if role == "disabled":
            User.objects.filter(pk=user.pk).update(is_active=False)
        if role == "revoked" and not script:
            client.session.flush()
        return client

    def _token(self, user: User, role: str) -> str:
        row, token = ApiToken.make(user.pk, role)
        if role == "revoked":
            row.delete()
        return token


@pytest.fixture
def stand(machine: Machine, everybody: dict[str, User], settings, tmp_path) -> Stand:
    settings.RECORDINGS_DIR = str(tmp_path)
    Machine.objects.update(graphics=["vnc", "spice"], has_serial=True)
    return Stand(machine, everybody)


def ask(client: Client, rule: Rule, url: Url, address: str) -> HttpResponse:
    """Make the request of a rule; what it did is undone, the answer stays."""
    with transaction.atomic():
        if rule.method == "GET":
            answer = client.get(address + rule.query)
        elif url.name.startswith("api:"):
            answer = client.post(address + rule.query, json.dumps(rule.body), content_type="application/json")
        else:
            answer = client.post(address + rule.query, rule.body)
        transaction.set_rollback(True)
    return answer


def is_sign_in(answer: HttpResponse) -> bool:
    return answer.status_code == 302 and answer["Location"].startswith("/login/?next=")


def expected(rule: Rule, role: str, *, api: bool) -> int | None:
    """Return the status with which this role is refused, SIGN_IN for the way there; None when it may."""
    if rule.who is Who.ANYONE:
        return 404 if rule.absent else None
    if role in NOBODY:
        return 401 if api else SIGN_IN
    if rule.absent:
        return 404
    right = RIGHTS[role]
    if role in rule.only if rule.only is not None else right >= rule.who:
        return None
    knows = right >= Who.SEE if rule.known_to is None else role in rule.known_to
    return rule.denied if knows else rule.hidden


def as_expected(answer: HttpResponse, refusal: int | None) -> bool:
    if refusal is None:
        return answer.status_code not in {401, 403, 404} and not is_sign_in(answer)
    if refusal == SIGN_IN:
        return is_sign_in(answer)
    return answer.status_code == refusal and not is_sign_in(answer)


def fingerprint() -> dict[str, list[Any]]:
    """Return every row of the portal's own tables."""
    ours = {config.label for config in apps.get_app_configs() if Path(config.path).parent == ROOT} - KEPT_ON_REFUSAL
    own = [model for model in apps.get_models() if model._meta.app_label in ours]
    noted = {"last_used_at"}  # that a script asked is not what it asked for
    columns = {model: [field.attname for field in model._meta.fields if field.name not in noted] for model in own}
    return {model._meta.label: list(model.objects.order_by("pk").values_list(*columns[model])) for model in own}


def test_every_url_has_a_rule_and_every_rule_a_url() -> None:
    assert {url.name for url in PORTAL} == RULES.keys()


@pytest.mark.parametrize("url", PORTAL, ids=lambda url: url.name)
def test_everybody_gets_what_the_rule_says(url: Url, stand: Stand) -> None:
    api = url.name.startswith("api:")
    wrong = []
    for rule in RULES[url.name]:
        for role in (*NOBODY, *RIGHTS):
            with transaction.atomic():
                client = stand.client(role, script=api)
                before = fingerprint()
                answer = ask(client, rule, url, url.filled(stand))
                refusal = expected(rule, role, api=api)
                if not as_expected(answer, refusal):
                    place = answer.headers.get("Location", "")
                    wrong.append(
                        f"{role}: {rule.method} {rule.body}: {answer.status_code} {place}, not {refusal or 'let in'}"
                    )
                if refusal and fingerprint() != before:
                    wrong.append(f"{role}: {rule.method} changed something")
                transaction.set_rollback(True)
    assert not wrong, "\n".join([url.route, *wrong])


@pytest.mark.parametrize("url", [url for url in PORTAL if RULES.get(url.name)], ids=lambda url: url.name)
def test_what_has_no_rule_is_no_method_of_it(url: Url, stand: Stand) -> None:
    client = stand.client("owner", script=url.name.startswith("api:"))
    methods = {rule.method for other in PORTAL if other.route == url.route for rule in RULES[other.name]}
    for method in {"get", "post", "put", "patch", "delete"} - {method.lower() for method in methods}:
        with transaction.atomic():
            before = fingerprint()
            answer = getattr(client, method)(url.filled(stand))
            assert answer.status_code == 405 or url.name.startswith(ANY_METHOD), f"{method} {url.route}"
            assert fingerprint() == before
            transaction.set_rollback(True)


@pytest.mark.parametrize("name", ASKS)
def test_every_operation_needs_the_right_that_the_table_by_hand_says(name: str, stand: Stand) -> None:
    wanted = ASKS[name]
    xml = stand.machine.definition_xml
    body = {
        "operation": wanted.kind,
        "parameters": {key: xml if value == XML else value for key, value in wanted.parameters.items()},
    }
    url = next(url for url in PORTAL if url.name == "api:request_operation")
    rule = Rule("POST", WORDS[wanted.right], body=body)
    for role in (*NOBODY, *RIGHTS):
        with transaction.atomic():
            answer = ask(stand.client(role, script=True), rule, url, url.filled(stand))
            refusal = expected(rule, role, api=True)
            if refusal is None:
                assert answer.status_code in {202, 400, 409, 422}, (role, answer.content)
            else:
                assert answer.status_code == refusal, (role, answer.content)
            transaction.set_rollback(True)


ADMIN_URLS = sorted(
    {url.route: url for url in URLS if url.name.startswith("admin:")}.values(), key=lambda url: url.route
)


@pytest.mark.parametrize("role", [*NOBODY, *(role for role in RIGHTS if role != "admin")])
def test_django_admin_is_for_administrators(role: str, stand: Stand) -> None:
    client = stand.client(role, script=False)
    assert len(ADMIN_URLS) > 40
    for url in ADMIN_URLS:
        if url.name not in OPEN_IN_ADMIN:
            address = "/" + url.route.replace("<path:object_id>", "1").replace("<path:url>", "x").replace("<id>", "1")
            for answer in (client.get(address), client.post(address)):
                assert answer.status_code in {302, 403, 404}, f"{role} {address}: {answer.status_code}"
                assert answer.status_code != 302 or "/login/" in answer["Location"], f"{role} {address}"


def test_a_machine_that_does_not_exist_looks_like_one_that_may_not_be_seen(stand: Stand) -> None:
    client, script = stand.client("stranger", script=False), stand.client("stranger", script=True)
    for url in PORTAL:
        if "uuid" in url.route and RULES[url.name]:
            rule, asker = RULES[url.name][0], script if url.name.startswith("api:") else client
            hidden, missing = (
                ask(asker, rule, url, url.filled(stand).replace(str(stand.machine.pk), str(machine)))
                for machine in (stand.machine.pk, uuid.uuid4())
            )
            assert hidden.status_code == missing.status_code == 404, url.route
            assert _words(hidden, stand.machine.pk) == _words(missing, stand.machine.pk), url.route


def _words(answer: HttpResponse, machine: uuid.UUID) -> str:
    """Return what a refusal says, without what differs in each answer."""
    if answer["Content-Type"].startswith("application/json"):
        return answer.content.decode()
    text = answer.content.decode()
    return text[text.index("<main") : text.index("</main")].replace(str(machine), "")
