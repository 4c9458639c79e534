"""The server under test, which echoes what Autobahn's fuzzing client sends.

    echo_server.py NAME [STREAM_FROM]

NAME says which of our servers runs:

``testing``           lomond.testing.Server
``serve``             lomond.server, a thread for each connection
``group``             lomond.server in a Group, one thread for all
``gunicorn-sync``     lomond.wsgi, detached from a worker of gunicorn
``gthread``           lomond.wsgi, inside a thread of gunicorn
``gevent``            lomond.wsgi, inside a greenlet of gunicorn
``cherrypy``          lomond.ws4py in CherryPy, one thread for all

With STREAM_FROM, large messages come in parts; it joins them, and echoes the whole
message. It prints its URL for run.py, and ends when its standard input does.

Knows nothing of: how it is judged.
"""

from __future__ import absolute_import, division, print_function, unicode_literals

import os
import signal
import sys
import threading

from echo_client import Echo, describe, tell, watch_stdin

from lomond.errors import WebSocketError

#: As large as the messages of Autobahn.
OPTIONS = dict(compress=True, max_message_size=64 * 1024 * 1024)


def answer(echo, event):
    """Answer an event as an application would."""
    try:
        echo.answer(event)
    except WebSocketError as error:     # closing; the loop goes on with the events
        tell('note', '{}: {}'.format(type(error).__name__, error))


def answer_all(websocket):
    """The handler of one connection."""
    echo = Echo(websocket)
    for event in websocket:
        answer(echo, event)


def wait_for_the_end():
    """Return when standard input ends, because then run.py has ended."""
    while os.read(0, 1):
        pass


def run_testing(options):
    from lomond.testing import Server, echo
    with Server(echo) as server:
        tell('url', server.url)
        wait_for_the_end()


def run_serve(options):
    from lomond.server import Server
    with Server(answer_all, '127.0.0.1', **options) as server:
        tell('url', server.url)
        wait_for_the_end()


def run_group(options):
    from lomond.group import Group
    from lomond.server import Server
    server = Server(host='127.0.0.1', **options)
    watch_stdin()
    tell('url', server.url)
    echoes = {}
    for websocket, event in Group([server]):
        if event.name == 'accepted':
            echoes[websocket] = Echo(websocket)
        elif event.name == 'disconnected':
            del echoes[websocket]
        elif websocket is not None:
            answer(echoes[websocket], event)


def run_gunicorn(options, worker_class, detach, **settings):
    from gunicorn.app.base import BaseApplication

    def when_ready(arbiter):
        tell('url', 'ws://127.0.0.1:{}/'.format(arbiter.LISTENERS[0].sock.getsockname()[1]))
        thread = threading.Thread(target=end)
        thread.daemon = True
        thread.start()

    def end():
        wait_for_the_end()
        os.kill(os.getpid(), signal.SIGTERM)

    class Application(BaseApplication):
        def load_config(self):
            settings.update(bind='127.0.0.1:0', worker_class=worker_class, when_ready=when_ready,
                            graceful_timeout=1, timeout=600)
            for name, value in settings.items():
                self.cfg.set(name, value)

        def load(self):
            from lomond.wsgi import WebSocketApp
            return WebSocketApp(answer_all, detach=detach, **options)

    Application().run()


def run_cherrypy(options):
    import cherrypy

    from lomond.ws4py.server.cherrypyserver import WebSocketPlugin, WebSocketTool
    from lomond.ws4py.websocket import EchoWebSocket

    class Root(object):
        @cherrypy.expose
        def index(self):
            pass

    WebSocketPlugin(cherrypy.engine).subscribe()
    cherrypy.tools.websocket = WebSocketTool()
    cherrypy.config.update({'server.socket_host': '127.0.0.1', 'server.socket_port': 0,
                            'log.screen': False, 'engine.autoreload.on': False})
    cherrypy.tree.mount(Root(), '/', {'/': {
        'tools.websocket.on': True, 'tools.websocket.handler_cls': EchoWebSocket,
        'tools.websocket.extensions': ['permessage-deflate'],
        'tools.websocket.max_message_size': options['max_message_size']}})
    cherrypy.engine.start()
    tell('url', 'ws://127.0.0.1:{}/'.format(cherrypy.server.httpserver.bind_addr[1]))
    wait_for_the_end()
    cherrypy.engine.exit()


SERVERS = {
    'testing': run_testing,
    'serve': run_serve,
    'group': run_group,
    'gunicorn-sync': lambda options: run_gunicorn(options, 'sync', True),
    'gthread': lambda options: run_gunicorn(options, 'gthread', False, threads=8),
    'gevent': lambda options: run_gunicorn(options, 'gevent', False),
    'cherrypy': run_cherrypy,
}


def main():
    options = dict(OPTIONS, **dict((str('stream_from'), int(word)) for word in sys.argv[2:]))
    describe()
    SERVERS[sys.argv[1]](options)


if __name__ == '__main__':
    main()
