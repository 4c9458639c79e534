"""The public names. The documentation does not build if the reference lacks one.

``tests/project/test_docs.py`` compares the list with the package, so names that were
removed cannot stay here.
"""

_MEMBERS = '''
connect open reset add_header build_request on_response process_extensions send_text send_binary
send_stream cork send_ping send_pong send_json close force_disconnect feed on_disconnect is_active is_closing
is_closed is_secure sent_close_time supports_compression latency queued scheme host port resource key
session state
'''
_EVENTS = '''
Event Connecting ConnectFail Connected Redirected Ready Rejected Text Text.json Binary TextPart BinaryPart
Ping Pong Poll Drained Closing Closed Unresponsive ProtocolError Disconnected UnknownMessage BackOff GaveUp
Accepted
'''
_GROUP = '''
add persist remove close websockets
'''
_ERRORS = '''
WebSocketError FrameBuildError HandshakeError CompressionParameterError ProtocolError PayloadTooLarge
CriticalProtocolError ConnectFail ProxyFail TransportFail SendTimeout QueueFull WebSocketUnavailable
WebSocketClosing WebSocketClosed ReceiveTimeout UpgradeRefused UpgradeUnavailable
'''
_SESSION = '''
run start waits next_deadline monotonic process is_over end send queue_message queued message_totals
max_queued send_stream is_streaming fail_stream write close force_disconnect wake session_time time_left
waiting _connect _wrap_socket
'''
_AIO = '''
AsyncWebSocket AsyncWebSocket.connect AsyncWebSocket.send_text AsyncWebSocket.send_binary
AsyncWebSocket.send_json AsyncWebSocket.send_ping AsyncWebSocket.send_pong AsyncWebSocket.send_stream
AsyncWebSocket.cork AsyncEvents AsyncEvents.aclose apersist
'''
_WSGI = '''
WebSocketApp WebSocketApp.connections WebSocketApp.stop upgrade done
'''
_WS4PY = '''
configure_logger format_addresses WS_VERSION websocket.WebSocket websocket.WebSocket.opened
websocket.WebSocket.received_message websocket.WebSocket.ponged websocket.WebSocket.closed
websocket.WebSocket.unhandled_error websocket.WebSocket.send websocket.WebSocket.ping
websocket.WebSocket.close websocket.WebSocket.close_connection websocket.WebSocket.run
websocket.WebSocket.once websocket.WebSocket.terminate websocket.WebSocket.terminated
websocket.EchoWebSocket websocket.Heartbeat client.WebSocketBaseClient client.WebSocketBaseClient.connect
client.WebSocketBaseClient.handshake_ok client.WebSocketBaseClient.bind_addr
client.threadedclient.WebSocketClient client.threadedclient.WebSocketClient.run_forever
manager.WebSocketManager manager.WebSocketManager.add manager.WebSocketManager.remove
manager.WebSocketManager.broadcast manager.WebSocketManager.close_all manager.WebSocketManager.stop
messaging.Message messaging.TextMessage messaging.BinaryMessage messaging.CloseControlMessage
messaging.PingControlMessage messaging.PongControlMessage exc.WebSocketException exc.HandshakeError
exc.StreamClosed server.wsgiutils.WebSocketWSGIApplication
server.wsgiutils.WebSocketWSGIApplication.make_websocket server.wsgirefserver.WSGIServer
server.wsgirefserver.WSGIServer.initialize_websockets_manager
server.wsgirefserver.WSGIServer.link_websocket_to_server
server.wsgirefserver.WebSocketWSGIRequestHandler server.wsgirefserver.WebSocketWSGIHandler
'''
_SERVER = '''
serve broadcast Server Server.url Server.connections Server.start Server.serve_forever Server.stop
ServerWebSocket ServerWebSocket.request ServerWebSocket.protocol ServerWebSocket.extensions
ServerWebSocket.receive ServerWebSocket.send_text ServerWebSocket.send_binary ServerWebSocket.send_json
ServerWebSocket.send_ping ServerWebSocket.send_pong ServerWebSocket.close ServerWebSocket.force_disconnect
ServerWebSocket.is_active ServerWebSocket.is_closing ServerWebSocket.is_closed ServerWebSocket.latency
ServerWebSocket.sent_close_time ServerWebSocket.supports_compression ServerWebSocket.queued
ServerWebSocket.send_stream ServerWebSocket.cork ServerWebSocket.session
'''
_STATUS = '''
NORMAL GOING_AWAY PROTOCOL_ERROR DATA_NOT_UNDERSTOOD BAD_DATA POLICY_VIOLATION MESSAGE_TOO_LARGE
EXTENSION_FAILED UNEXPECTED_CONDITION invalid_codes
'''
_OPCODE = '''
CONTINUATION TEXT BINARY RESERVED1 RESERVED2 RESERVED3 RESERVED4 RESERVED5 CLOSE PING PONG RESERVED6 RESERVED7
RESERVED8 RESERVED9 RESERVED10 to_str
'''
_TESTING = '''
Server Server.url Server.url_of Server.connections Server.requests Server.start Server.stop
Server.drop_connections
ServerConnection ServerConnection.events ServerConnection.messages ServerConnection.receive
ServerConnection.receive_raw ServerConnection.pause ServerConnection.send_text ServerConnection.send_binary
ServerConnection.send_ping ServerConnection.send_pong ServerConnection.send_frame ServerConnection.send_raw
ServerConnection.close ServerConnection.drop ServerConnection.close_code ServerConnection.close_reason
ServerConnection.is_open ServerConnection.supports_compression ServerError ReceiveTimeout
echo reject redirect silent unresponsive stall_reads garbage bad_frames drop_after close_with raw
ScriptedTransport ScriptedTransport.session_class ScriptedTransport.encode_message FakeClock
FakeClock.elapsed FakeClock.monotonic FakeClock.time FakeClock.advance FakeClock.advance_to FakeClock.event
ScriptError session_class wsgi_session ACCEPT EOF until room sends_fail text_frame binary_frame
continuation_frame ping_frame pong_frame close_frame pytest_plugin.wsserver
'''


def find_names():
    """Return the dotted names, each beginning with ``lomond``."""
    names = ['websocket.WebSocket', 'session.WebsocketSession', 'status.Status', 'opcode.Opcode',
             'group.Group', 'opcode.is_reserved', 'opcode.reserved_opcodes', 'constants.USER_AGENT',
             'constants.WS_KEY', 'constants.WS_VERSION', 'persist.persist', 'persist.transient',
             'response.Response', 'response.Request', 'compression.Deflate',
             'compression.Deflate.offer', 'auth.DigestAuth', 'auth.DigestAuth.answer']
    for kind in ('Response', 'Request'):
        names += ['response.{}.{}'.format(kind, name) for name in
                  'get get_list header_lines http_ver'.split()]
    names += ['response.Head.' + name for name in ('raw', 'headers', 'first_line', 'defect')]
    names += ['response.Request.' + name for name in ('path', 'query', 'context')]
    names += ['response.Response.' + name for name in ('status_code', 'status', 'body')]
    names += ['aio.' + name for name in _AIO.split()]
    for where, words in (('websocket.WebSocket', _MEMBERS), ('events', _EVENTS), ('errors', _ERRORS),
                         ('group.Group', _GROUP), ('session.WebsocketSession', _SESSION),
                         ('status.Status', _STATUS), ('opcode.Opcode', _OPCODE), ('server', _SERVER),
                         ('testing', _TESTING), ('wsgi', _WSGI), ('ws4py', _WS4PY)):
        names += [where + '.' + word for word in words.split()]
    return ['lomond.' + name for name in names]


def find_missing(documented):
    """Return the public names that are not documented."""
    return [name for name in find_names() if name not in documented]
