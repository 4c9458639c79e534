"""The WebSocket protocol without input or output: bytes in, events and bytes out.

``lomond.protocol.connection.Connection`` is a complete WebSocket connection, in either
role, that never touches a socket, a clock or a thread, so any kind of loop can drive
it.  These names are semi-public: they change only with a line in the change log.

``lomond.protocol.connection``
    ``Connection``, ``Role``, ``CLIENT``, ``SERVER``, ``DEFAULT_MAX_MESSAGE_SIZE``
``lomond.protocol.handshake``
    ``ClientHandshake``, ``ServerHandshake``, ``encode_request``, ``make_key``
``lomond.protocol.states``
    ``State``, ``MOVES`` and the states

Everything else in this folder is internal.

Knows nothing of: sockets, clocks, threads; ``lomond.network``, ``lomond.driver``,
``lomond.client``.
"""
