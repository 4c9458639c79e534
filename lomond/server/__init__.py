"""The server's side of a connection: an accepted socket and what drives it; internal for now.

Knows nothing of: recording, scripts, ``lomond.testing``.
"""
