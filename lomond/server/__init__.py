"""The server side of a connection: what drives an accepted socket; internal for now.

Knows nothing of: recording, scripts, ``lomond.testing``.
"""
