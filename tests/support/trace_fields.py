"""The documented stages of the trace."""

from __future__ import absolute_import, division, unicode_literals

#: The stages, and what a record of each has besides ``stage`` and ``url``.
FIELDS = {
    'connect_start': {'poll', 'ping_rate', 'ping_timeout', 'auto_pong', 'close_timeout'},
    'tls_wrapped': {'verify', 'has_context', 'cafile'}, 'handshake_ready': {'protocol', 'extensions'},
    'handshake_rejected': {'reason', 'status_code'}, 'socket_send': {'length'}, 'socket_recv': {'length'},
    'close_requested': {'code', 'reason'}, 'message_text': {'length'}, 'message_binary': {'length'},
    'message_ping': {'length'}, 'message_pong': {'length'}, 'message_close': {'code', 'reason'},
    'send_ping': {'length'}, 'send_pong': {'length'}, 'send_text': {'length', 'compressed'},
    'send_binary': {'length', 'compressed'}, 'disconnected': set()}
