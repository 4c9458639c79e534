"""How to make a stream, and what it can do; internal.

Names and addresses, happy eyeballs, proxies, TLS, non-blocking streams, and the pollers
that wait for them.

Knows nothing of: WebSockets; ``lomond.protocol``, ``lomond.driver``, ``lomond.client``.
"""
