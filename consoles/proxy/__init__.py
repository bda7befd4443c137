"""The console proxy: websockify with single-use tickets, an RFB filter and a bounded pump.

A process of its own (`python -m consoles.proxy`) without Django: it knows tickets and leases in Redis and the
hypervisor seam, nothing else. `endings` and `redis_names` are what it shares with the portal's side of consoles.
"""
