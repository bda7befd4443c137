"""Notices: what happened that a person wants to hear of, in the page and by mail, as each of them chose."""
