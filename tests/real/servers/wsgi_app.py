"""A WSGI application with WebSockets, under the server that its argument names.

    python wsgi_app.py SERVER inline|detached PORT [CERTIFICATE KEY]

Servers find it as ``wsgi_app:application``; WSGI_DETACH then says how.  Paths of WebSockets: /echo,
/close (4000, 'bye'), /bad (its handler raises), /view (by upgrade()); anything else is an ordinary page.
"""

from __future__ import absolute_import, division, unicode_literals

import os
import sys

SERVER, HOW = (sys.argv[1:3] + ['', ''])[:2] if 'wsgi_app' in sys.argv[0] else ('', '')
if SERVER == 'gevent':                  # what gunicorn's gevent worker does by itself
    from gevent import monkey
    monkey.patch_all()
elif SERVER == 'eventlet':
    import eventlet
    eventlet.monkey_patch()

from lomond import errors  # noqa: E402
from lomond.wsgi import WebSocketApp, done, upgrade  # noqa: E402


def echo(websocket):
    for event in websocket:
        if event.name == 'text':
            websocket.send_text(event.text)
        elif event.name == 'binary':
            websocket.send_binary(event.data)


def close(websocket):
    websocket.close(4000, 'bye')
    for _ in websocket:
        pass


def bad(websocket):
    raise KeyError(str('a bug of the handler'))


def page(environ, start_response):
    start_response(str('200 OK'), [(str('Content-Type'), str('text/plain')), (str('Content-Length'),
        str('4'))])
    return [b'page']


def application(environ, start_response):
    if environ.get('PATH_INFO') == '/view':
        try:
            with upgrade(environ, origins='*') as websocket:
                echo(websocket)
        except errors.UpgradeRefused as refusal:
            return refusal(environ, start_response)
        return done(environ, start_response)
    return sockets(environ, start_response)


sockets = WebSocketApp({'/echo': echo, '/close': close, '/bad': bad}, page, compress=True,
                       detach=os.environ.get('WSGI_DETACH', HOW) in ('1', 'detached'))


def serve(kind, port, certificate=None, key=None):
    if kind == 'wsgiref':
        from wsgiref.simple_server import make_server
        server = make_server(str('127.0.0.1'), port, application)
        if certificate:
            import ssl
            context = ssl.SSLContext(getattr(ssl, 'PROTOCOL_TLS_SERVER', ssl.PROTOCOL_SSLv23))
            context.load_cert_chain(certificate, key)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        server.serve_forever()
    elif kind == 'wsgiref threads':
        from wsgiref.simple_server import WSGIServer, make_server
        try:
            from socketserver import ThreadingMixIn
        except ImportError:
            from SocketServer import ThreadingMixIn
        make_server(str('127.0.0.1'), port, application,
                    type(str('Server'), (ThreadingMixIn, WSGIServer, object), {
            'daemon_threads': True})).serve_forever()
    elif kind == 'werkzeug':
        from werkzeug.serving import run_simple
        run_simple('127.0.0.1', port, application, threaded=True,
                   ssl_context=(certificate, key) if certificate else None)
    elif kind == 'flask':
        import flask
        app = flask.Flask('wsgi_app')
        app.add_url_rule('/view', 'view', lambda: view(flask.request.environ), websocket=True)
        app.add_url_rule('/<path:path>', 'sockets', lambda path: sockets, websocket=True)
        app.add_url_rule('/<path:path>', 'page', lambda path: page)
        app.run('127.0.0.1', port, threaded=True, ssl_context=(certificate, key) if certificate else None)
    elif kind in ('gevent', 'gevent unpatched'):
        from gevent.pywsgi import WSGIServer
        options = {'certfile': certificate, 'keyfile': key} if certificate else {}
        WSGIServer((str('127.0.0.1'), port), application, **options).serve_forever()
    elif kind == 'eventlet':
        import eventlet.wsgi
        sock = eventlet.listen(('127.0.0.1', port))
        if certificate:
            sock = eventlet.wrap_ssl(sock, certfile=certificate, keyfile=key, server_side=True)
        eventlet.wsgi.server(sock, application)
    elif kind == 'cheroot':
        from cheroot.wsgi import Server
        server = Server(('127.0.0.1', port), application, numthreads=4)
        if certificate:
            from cheroot.ssl.builtin import BuiltinSSLAdapter
            server.ssl_adapter = BuiltinSSLAdapter(certificate, key)
        server.start()
    elif kind == 'cherrypy':
        import cherrypy
        cherrypy.config.update({'server.socket_host': str('127.0.0.1'), 'server.socket_port': port,
                                'server.thread_pool': 4, 'engine.autoreload.on': False, 'log.screen': False})
        if certificate:
            cherrypy.config.update({
                'server.ssl_module': str('builtin'), 'server.ssl_certificate': certificate,
                'server.ssl_private_key': key})
        cherrypy.tree.graft(application, '/')
        cherrypy.engine.signals.subscribe()
        cherrypy.engine.start()
        cherrypy.engine.block()
    elif kind == 'bottle':
        import bottle
        from bottle import WSGIRefServer
        bottle.run(application, server=WSGIRefServer, host='127.0.0.1', port=port, quiet=True)
    elif kind == 'django':
        from django.conf import settings
        from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
        settings.configure(DATABASES={})
        server = ThreadedWSGIServer(('127.0.0.1', port), WSGIRequestHandler)
        server.set_app(application)
        server.serve_forever()
    elif kind == 'waitress':
        import waitress
        waitress.serve(application, host='127.0.0.1', port=port)


def view(environ):
    try:
        with upgrade(environ, origins='*') as websocket:
            echo(websocket)
    except errors.UpgradeRefused as refusal:
        return refusal
    return done


if __name__ == '__main__':
    sys.modules['wsgi_app'] = sys.modules['__main__']
    serve(SERVER, int(sys.argv[3]), *sys.argv[4:])
