"""Echo server: sends each message back.

    python serve_echo.py
    lomond ws://localhost:8080/ -x hello --wait 0.2         # in another terminal
"""

import lomond.server


def echo(websocket):
    for event in websocket:
        if event.name == 'text':
            websocket.send_text(event.text)
        elif event.name == 'binary':
            websocket.send_binary(event.data)


if __name__ == '__main__':
    lomond.server.serve(echo, 'localhost', 8080)
