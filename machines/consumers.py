"""The socket of live updates: what a browser or script watches is sent at once, and again whenever it changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from channels.db import database_sync_to_async
from channels.generic.websocket import AsyncWebsocketConsumer
from django.db import DatabaseError
from redis import RedisError

from machines.push import EVERYBODY, EVERYTHING, HOSTS, encoded, host_group, login_group, machine_group, user_group
from machines.socket_login import SUBPROTOCOL, Visitor, visitor_of
from machines.socket_messages import BadMessage, Ping, Versions, Watch, parse
from machines.socket_reads import Standing, differences, snapshot, snapshot_sources, standing
from people.logins import is_alive

__all__ = ["UpdatesConsumer", "snapshot_sources"]

LOGIN_ENDED = 4401
"""The code with which a socket is closed when its login is over."""
CHECK_EVERY = 60.0
"""Seconds between looks at login and rights, in case a message about them was lost."""

log = logging.getLogger(__name__)


class UpdatesConsumer(AsyncWebsocketConsumer):
    """One socket. Anonymous ones are refused before the handshake (HTTP 403).

    Watched machines are channel-layer groups, joined after the right was checked and left as soon as it is revoked;
    their messages are encoded by the sender and handed on as text.
    """

    visitor: Visitor

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.watched: frozenset[UUID] = frozenset()
        """What the client asked for last, also what it may not see (any more): it may be given the right again."""
        self.standing = Standing()
        self.joined: set[str] = set()
        self.changing = asyncio.Lock()
        self.checks: asyncio.Task[None] | None = None

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Hand pushes on without the detour through a thread that Channels makes before each handler."""
        if message["type"] == "push.text":
            await self.base_send({"type": "websocket.send", "text": message["text"]})
        else:
            await super().dispatch(message)

    async def connect(self) -> None:
        """Let a signed-in person in, join their own groups."""
        visitor = await database_sync_to_async(visitor_of)(self.scope)
        if visitor is None:
            await self.close()
            return
        self.visitor = visitor
        await self._take_standing(())
        if not await self._still_welcome():  # the login may have ended before its group was joined
            await self.close()
            return
        await self.accept(SUBPROTOCOL if SUBPROTOCOL in self.scope["subprotocols"] else None)
        self.checks = asyncio.create_task(self._check_now_and_then())

    async def disconnect(self, code: int) -> None:
        """Leave all groups."""
        if self.checks:
            self.checks.cancel()
        await self._leave(set(self.joined))

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Answer one message of the client."""
        try:
            message = parse(text_data)
        except BadMessage as error:
            await self._send_error(error.code, error.sentence)
            return
        if isinstance(message, Ping):
            await self.send(text_data=encoded({"type": "pong", "number": message.number}))
            return
        async with self.changing:
            await (self._watch(message) if isinstance(message, Watch) else self._resync(message))

    async def rights_changed(self, _message: dict[str, Any]) -> None:
        """Look at all rights again: some may have been given or taken."""
        async with self.changing:
            await self._look_again()

    async def login_ended(self, _message: dict[str, Any]) -> None:
        """Close: the login is over."""
        await self.close(LOGIN_ENDED)

    async def login_check(self, _message: dict[str, Any]) -> None:
        """Close if the login is over: something about its user changed."""
        if not await self._still_welcome():
            await self.close(LOGIN_ENDED)

    async def _watch(self, message: Watch) -> None:
        self.watched = frozenset(message.machines)
        await self._take_standing(self.watched)
        if missing := message.machines - self.standing.rights.keys():
            await self._send_error("not_found", "There is no such machine.", machines=sorted(map(str, missing)))
        await self._send_texts(await database_sync_to_async(snapshot)(self.standing.rights))
        await self._send_rights(self.standing.rights)

    async def _resync(self, message: Versions) -> None:
        """Send what the client does not have; what it no longer may see it is told, too."""
        await self._look_again()
        news = database_sync_to_async(differences)
        await self._send_texts(await news(self.standing.rights, message))

    async def _look_again(self) -> None:
        """Tell which rights have changed since, and show what may be seen again."""
        before = self.standing.rights
        await self._take_standing(self.watched)
        words = {uuid: self.standing.rights.get(uuid, "") for uuid in self.watched}
        if changed := {uuid: word for uuid, word in words.items() if before.get(uuid, "") != word}:
            await self._send_rights(changed)
        if regained := {uuid: word for uuid, word in changed.items() if uuid not in before}:
            await self._send_texts(await database_sync_to_async(snapshot)(regained))

    async def _take_standing(self, machines: Iterable[UUID]) -> None:
        """Read the rights over these machines, and be in exactly the groups that follow from them."""
        self.standing = await database_sync_to_async(standing)(self.visitor.user_id, set(machines))
        wanted = {user_group(self.visitor.user_id), login_group(self.visitor.login), EVERYBODY}
        wanted |= {machine_group(uuid) for uuid in self.standing.rights}
        wanted |= {HOSTS} if self.standing.administers else {host_group(host) for host in self.standing.hosts}
        wanted |= {EVERYTHING} if self.standing.everything else set()
        await self._leave(self.joined - wanted)
        for group in wanted - self.joined:
            await self.channel_layer.group_add(group, self.channel_name)
            self.joined.add(group)

    async def _leave(self, groups: Iterable[str]) -> None:
        for group in groups:
            self.joined.discard(group)
            await self.channel_layer.group_discard(group, self.channel_name)

    async def _check_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(CHECK_EVERY)
            try:
                await self._check()
            except (DatabaseError, RedisError) as error:
                log.warning("could not check a socket's login, trying again: %s", error)

    async def _check(self) -> None:
        if not await self._still_welcome():
            await self.close(LOGIN_ENDED)
            return
        async with self.changing:
            await self._look_again()

    async def _still_welcome(self) -> bool:
        alive: bool = await database_sync_to_async(is_alive)(self.visitor.login, self.visitor.user_id)
        return alive

    async def _send_texts(self, texts: Iterable[str]) -> None:
        for text in texts:
            await self.send(text_data=text)

    async def _send_rights(self, rights: Mapping[UUID, str]) -> None:
        words = {str(uuid): word for uuid, word in rights.items()}
        await self.send(text_data=encoded({"type": "rights", "rights": words}))

    async def _send_error(self, code: str, sentence: str, **details: Any) -> None:
        error = {"code": code, "message": sentence, "details": details}
        await self.send(text_data=encoded({"type": "error", "error": error}))
