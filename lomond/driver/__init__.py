"""One protocol connection over one stream, in time, for the client or the server;
internal.

Knows nothing of: where the stream came from, options, redirects; ``lomond.client``.
"""
