"""What people sign in and are written to by, as the environment describes it. Plain Python, like its reader."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mail:
    """How the portal sends mail: over SMTP, or (for trying things out) each mail as a file in a directory."""

    sender: str
    host: str = ""
    port: int = 0
    user: str = ""
    password: str = ""
    starttls: bool = False
    tls: bool = False
    directory: str = ""


@dataclass(frozen=True, slots=True)
class Provider:
    """The OpenID Connect provider by which people may log in."""

    issuer: str
    client_id: str
    client_secret: str
    name: str
    new_users: bool
    """Whether whoever it vouches for gets an account."""
    scopes: tuple[str, ...] = ("openid", "profile", "email")
    groups_claim: str = "groups"
    staff_group: str = ""
    superuser_group: str = ""
    helpdesk_group: str = ""

    @property
    def gives_roles(self) -> bool:
        """Whether groups that it names give roles."""
        return bool(self.staff_group or self.superuser_group or self.helpdesk_group)


@dataclass(frozen=True, slots=True)
class Directory:
    """The LDAP directory whose people may log in with their password there. Groups are distinguished names."""

    url: str
    users: str
    """Below which entry people are looked for."""
    starttls: bool = True
    ca_file: str = ""
    bind_dn: str = ""
    bind_password: str = ""
    user_filter: str = "(uid=%(user)s)"
    groups: str = ""
    """Below which entry groups are looked for; empty: groups say nothing."""
    group_member: str = "member"
    required_group: str = ""
    staff_group: str = ""
    superuser_group: str = ""
    helpdesk_group: str = ""
    mirrored_groups: tuple[str, ...] = ()
    """Names of Django groups that have the directory's members."""
