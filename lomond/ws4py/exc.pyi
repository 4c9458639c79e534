# Types of lomond.ws4py.exc.

class WebSocketException(Exception): ...

class HandshakeError(WebSocketException):
    msg: str
    def __init__(self, msg: str) -> None: ...

class StreamClosed(Exception): ...

ProtocolException: type[WebSocketException]
FrameTooLargeException: type[WebSocketException]
UnsupportedFrameTypeException: type[WebSocketException]
TextFrameEncodingException: type[WebSocketException]
InvalidBytesError: type[WebSocketException]
