"""The chat of serve_chat.py inside CherryPy: its page, and the WebSocket at the same path.

    python serve_cherrypy.py [PORT]     # then open http://127.0.0.1:8080/

The connections are detached, so they take none of the server's threads.
"""

import sys

import cherrypy
from serve_chat import PAGE, room

from lomond.wsgi import WebSocketApp


class Root(object):

    @cherrypy.expose
    def index(self, name=None):         # the page itself reads it
        return PAGE.replace('</html>', '<footer>CherryPy</footer>\n</html>')


def main(port=8080):
    cherrypy.config.update({'server.socket_host': '127.0.0.1', 'server.socket_port': int(port)})
    pages = cherrypy.Application(Root(), '')
    chat = WebSocketApp(room, pages, detach=True, compress=True, max_message_size=16 * 1024)
    cherrypy.tree.graft(chat, '')
    cherrypy.engine.subscribe('stop', chat.stop)        # before CherryPy waits for its threads
    cherrypy.engine.signals.subscribe()
    cherrypy.engine.start()
    cherrypy.engine.block()


if __name__ == '__main__':
    main(*sys.argv[1:])
