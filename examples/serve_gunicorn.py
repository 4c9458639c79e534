"""The chat of serve_chat.py inside gunicorn: one worker, any number of connections.

    python serve_gunicorn.py [PORT]     # then open http://127.0.0.1:8080/

It is the same as ``gunicorn --bind 127.0.0.1:8080 --threads 4 serve_gunicorn``. Browsers
open connections ahead of need, and one would keep a worker without threads busy. With
more workers, each has a room of its own.
"""

import os
import sys

from serve_chat import PAGE, room

from lomond.wsgi import WebSocketApp


def page(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/html; charset=utf-8')])
    return [PAGE.replace('</html>', '<footer>gunicorn</footer>\n</html>').encode('utf-8')]


application = WebSocketApp(room, page, detach=True, compress=True, max_message_size=16 * 1024)


if __name__ == '__main__':
    port = sys.argv[1] if len(sys.argv) > 1 else '8080'
    os.chdir(os.path.dirname(os.path.abspath(__file__)))
    os.execv(sys.executable, [
        sys.executable, '-m', 'gunicorn', '--bind', '127.0.0.1:' + port, '--threads', '4',
        'serve_gunicorn'])
