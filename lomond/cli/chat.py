"""``lomond serve --chat``: a page for browsers, and the room that it talks to.

The room is in the memory of the server; the page keeps what it has shown.

Knows nothing of: how it is served.
"""

from __future__ import absolute_import, division, unicode_literals

import threading

from .._compat import to_text
from ..server import broadcast

#: Most characters of a name, and of what somebody says.
MOST_NAME, MOST_SAID = 40, 2000

PAGE = '''<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>lomond chat</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 45em; margin: 1em auto; padding: 0 1em }
#status { color: #666 } #messages { min-height: 12em; border: 1px solid #ccc; padding: .5em 1em }
#messages p { margin: 0 } #people { padding: 0 } #people li { display: inline; margin-right: 1em }
input { font: inherit; width: 70% } button { font: inherit }
</style>
<h1>lomond chat</h1>
<p id="status">not connected</p>
<form id="join"><input id="name" maxlength="40" placeholder="your name" required>
<button>Join</button></form>
<div id="room" hidden>
<ul id="people"></ul>
<div id="messages"></div>
<form id="say"><input id="text" maxlength="2000" placeholder="say something" autocomplete="off" required>
<button>Send</button></form>
</div>
<script>
'use strict';
const find = id => document.getElementById(id);
let socket, name, isOpen = false, pause = 500;
function connect() {
  socket = new WebSocket(location.href.replace(/^http/, 'ws').replace(/[?#].*/, ''));
  socket.onopen = () => {
    pause = 500;
    isOpen = true;
    find('status').textContent = 'connected' +
      (socket.extensions.includes('permessage-deflate') ? ', compressed' : '');
    socket.send(JSON.stringify({name: name}));
  };
  socket.onmessage = event => {
    const told = JSON.parse(event.data);
    find('people').replaceChildren(...told.people.map(one => add('li', one)));
    if (told.text)
      find('messages').append(add('p', told.name + ': ' + told.text));
  };
  socket.onclose = event => {
    if (isOpen)         // not for each attempt that fails
      find('status').textContent = 'closed (' + event.code + '), reconnecting';
    isOpen = false;
    setTimeout(connect, pause);
    pause = Math.min(pause * 2, 5000);
  };
}
function add(tag, text) {
  const made = document.createElement(tag);
  made.textContent = text;
  return made;
}
function join(wanted) {
  name = wanted;
  find('join').hidden = true;
  find('room').hidden = false;
  connect();
}
find('join').onsubmit = event => { event.preventDefault(); join(find('name').value); };
find('say').onsubmit = event => {
  event.preventDefault();
  if (socket.readyState === 1) {
    socket.send(JSON.stringify({text: find('text').value}));
    find('text').value = '';
  }
};
const asked = new URLSearchParams(location.search).get('name');
if (asked) join(asked);
</script>
</html>
'''


def show_page(request):
    """Answer a browser that asks for the page."""
    if request.get('upgrade') is None and request.path == '/':
        return 200, [('Content-Type', 'text/html; charset=utf-8')], PAGE.encode('utf-8')
    return None


class Chat(object):
    """A room.

    :param tell: called with each line of text
    """

    title = 'chat'

    def __init__(self, tell):
        self._tell = tell
        self._names = {}                # WebSocket -> name
        self._lock = threading.Lock()   # messages come in the same order everywhere
        self.options = {'compress': True, 'on_request': show_page, 'max_message_size': 16 * 1024}

    def handle(self, websocket):
        """Serve one connection."""
        try:
            for event in websocket:
                if event.name == 'text':
                    self._take(websocket, event)
        except (ValueError, TypeError, KeyError):       # it does not come from our page
            websocket.close(1003, 'not understood')
        finally:
            self._enter(websocket, None)

    def _take(self, websocket, event):
        said = event.json
        if websocket not in self._names:
            self._enter(websocket, said['name'][:MOST_NAME].strip() or 'somebody')
        else:
            self._send(name=self._names[websocket], text=said['text'][:MOST_SAID])

    def _enter(self, websocket, name):
        """Note who is here; None for one who leaves."""
        with self._lock:
            if name is None:
                name, verb = self._names.pop(websocket, None), 'has left'
            else:
                self._names[websocket], verb = name, 'is here'
        if name is not None:
            self._tell('{} {}'.format(name, verb))
            self._send()

    def _send(self, **told):
        import json
        with self._lock:
            told['people'] = sorted(self._names.values())
            broadcast(self._names, to_text(json.dumps(told)))
