"""A real directory for the tests: Debian's slapd as a process of its own on a loopback port."""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path

import ldap
import ldap.modlist

from demo.servers import Server

BASE = "dc=example,dc=org"
PEOPLE = f"ou=people,{BASE}"
GROUPS = f"ou=groups,{BASE}"
PORTAL = f"cn=portal,{BASE}"
ROOT = f"cn=root,{BASE}"
PASSWORD = "a password of the directory"

CONFIG = """
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile {directory}/slapd.pid
TLSCertificateFile {directory}/certificate.pem
TLSCertificateKeyFile {directory}/key.pem
database mdb
suffix {base}
rootdn {root}
rootpw "{password}"
directory {directory}/data
maxsize 10485760
access to attrs=userPassword by anonymous auth by * none
access to * by dn.exact="{portal}" read by * auth
"""


class OpenLdap(Server):
    """An OpenLDAP server that lets only its root and the portal's account read."""

    @property
    def url(self) -> str:
        return f"ldap://127.0.0.1:{self.port}"

    @property
    def ca_file(self) -> str:
        """The certificate that it shows, which is its own authority."""
        return str(self.directory / "certificate.pem")

    def prepare(self) -> None:
        super().prepare()
        (self.directory / "data").mkdir()
        make_certificate(self.directory / "certificate.pem", self.directory / "key.pem")
        values = {"directory": self.directory, "base": BASE, "root": ROOT, "portal": PORTAL, "password": PASSWORD}
        (self.directory / "slapd.conf").write_text(CONFIG.format(**values))

    def command(self) -> list[str]:
        return ["/usr/sbin/slapd", "-d", "0", "-h", self.url, "-f", str(self.directory / "slapd.conf")]

    def answers(self) -> bool:
        try:
            self.as_root().unbind_s()
        except ldap.SERVER_DOWN:
            return False
        return True

    def as_root(self) -> ldap.ldapobject.LDAPObject:
        """A connection that may write."""
        connection = ldap.initialize(self.url)
        connection.simple_bind_s(ROOT, PASSWORD)
        return connection

    def add(self, name: str, **attributes: object) -> None:
        """Add an entry; each attribute has a value or a list of them."""
        entry = {key: _values(value) for key, value in attributes.items()}
        self.as_root().add_s(name, ldap.modlist.addModlist(entry))

    def add_person(self, name: str, **attributes: object) -> str:
        """Add a person whose password is `PASSWORD`; return the entry's name."""
        entry = f"uid={name},{PEOPLE}"
        usual = {"uid": name, "cn": name, "sn": "Liddell", "userPassword": PASSWORD}
        self.add(entry, objectClass="inetOrgPerson", **usual, **attributes)
        return entry

    def set_members(self, group: str, members: list[str]) -> str:
        """Make a group have just these members; return its name. Without members there is none."""
        entry, connection = f"cn={group},{GROUPS}", self.as_root()
        with contextlib.suppress(ldap.NO_SUCH_OBJECT):
            connection.delete_s(entry)
        if members:
            self.add(entry, objectClass="groupOfNames", cn=group, member=members)
        return entry

    def fill(self) -> None:
        """Make the tree, and the account by which the portal reads it."""
        self.add(BASE, objectClass=["dcObject", "organization"], dc="example", o="Example")
        for unit in (PEOPLE, GROUPS):
            self.add(unit, objectClass="organizationalUnit", ou=unit.partition(",")[0].removeprefix("ou="))
        self.add(PORTAL, objectClass=["organizationalRole", "simpleSecurityObject"], cn="portal", userPassword=PASSWORD)


def make_certificate(certificate: Path, key: Path) -> None:
    """Make a certificate for 127.0.0.1 that signs itself."""
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*make, *names], check=True, capture_output=True)


def _values(value: object) -> list[bytes]:
    return [str(each).encode() for each in (value if isinstance(value, list) else [value])]
