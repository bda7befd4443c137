"""Making machines: the templates that administrators offer, and the requests by which people get one."""
