# Types of lomond.testing.wsgi.

from typing import Any, Callable

from ..session import WebsocketSession

def wsgi_session(app: Callable[..., Any], **environ: Any) -> type[WebsocketSession]: ...
