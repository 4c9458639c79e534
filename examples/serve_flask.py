"""The chat of serve_chat.py inside Flask: a view for the page, one for the WebSocket.

    python serve_flask.py [PORT]        # then open http://127.0.0.1:8080/

The connections are detached, so they take none of the server's threads.
"""

import sys

from flask import Flask
from serve_chat import PAGE, room

from lomond.wsgi import WebSocketApp

app = Flask(__name__)
chat = WebSocketApp(room, detach=True, compress=True, max_message_size=16 * 1024)


@app.route('/')
def page():
    return PAGE.replace('</html>', '<footer>Flask</footer>\n</html>')


@app.route('/', websocket=True)
def talk():
    return chat


if __name__ == '__main__':
    app.run('127.0.0.1', int(sys.argv[1]) if len(sys.argv) > 1 else 8080)
