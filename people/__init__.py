"""Accounts, roles and API tokens, and the pages on which people keep their own."""
