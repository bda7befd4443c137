"""`manage.py verifyaudit`: whether the audit trail is as it was sealed."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from audit import keys
from audit.verifying import Head, Verification, one_view, open_entries


class Command(BaseCommand):
    """Look through the trail and say what is wrong; exit with 1 when something is."""

    help = "Checks the audit trail: every sealed entry, every batch, every checkpoint. Exits with 1 when one is wrong."

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Take a batch that has to be there."""
        parser.add_argument(
            "--expect",
            type=_head,
            metavar="NUMBER:HASH",
            help="a batch as the portal's log had it when it was sealed: finds an end that was cut off",
        )

    def handle(self, *_args: Any, expect: Head | None, **_options: Any) -> None:
        """Write each finding, then how much was looked at."""
        verification, wrong = Verification(expected=expect), 0
        with one_view():
            for finding in verification.findings():
                wrong += 1
                self.stderr.write(finding)
        head = verification.head
        self.stdout.write(
            f"{verification.entries} entries in {verification.batches} batches; {open_entries()} not sealed yet."
        )
        self.stdout.write(f"The last batch is {head.number}:{head.hash}")
        self.stdout.write(f"The public key is {keys.public_half(keys.signing_key())}")
        if wrong:
            raise CommandError(f"The audit trail is not as it was sealed: {wrong} findings.", returncode=1)


def _head(text: str) -> Head:
    found = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text)
    if found is None:
        raise ArgumentTypeError("write a batch's number, a colon and its hash")
    return Head(int(found[1]), found[2])
