# Types of lomond.ws4py.messaging.

_Data = str | bytes | bytearray | memoryview

class Message:
    is_text: bool
    is_binary: bool
    opcode: int
    encoding: str | None
    completed: bool
    data: bytes
    def __init__(self, opcode: int, data: _Data = b"", encoding: str | None = "utf-8") -> None: ...
    def extend(self, data: _Data) -> None: ...
    def __len__(self) -> int: ...

class TextMessage(Message):
    def __init__(self, text: _Data = b"") -> None: ...

class BinaryMessage(Message):
    def __init__(self, bytes: _Data = b"") -> None: ...

class CloseControlMessage(Message):
    code: int | None
    reason: bytes
    def __init__(self, code: int | None = 1000, reason: str | bytes | None = "") -> None: ...

class PingControlMessage(Message):
    def __init__(self, data: _Data = b"") -> None: ...

class PongControlMessage(Message):
    def __init__(self, data: _Data = b"") -> None: ...
