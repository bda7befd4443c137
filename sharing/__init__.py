"""How machines get to people: grants, links, hand-overs, asks for rights, and the projects that own them together."""
