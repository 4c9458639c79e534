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
* { box-sizing: border-box } [hidden] { display: none !important }
body { display: flex; flex-direction: column; gap: .75rem; max-width: 44rem; height: 100vh; height: 100dvh;
       margin: auto; padding: 1rem; color: #1f2933; background: #eef1f4;
       font: 1rem/1.5 system-ui, sans-serif }
header { display: flex; align-items: baseline; gap: 1rem } h1 { flex: 1; margin: 0; font-size: 1.4rem }
#status { margin: 0; font-size: .875rem; color: #52606d }
#status::before { content: ''; display: inline-block; width: .6em; height: .6em; margin-right: .5em;
                  border-radius: 50%; background: #9aa5b1 }
.open #status::before { background: #2f8f46 } .lost #status::before { background: #c2410c }
#room { display: flex; flex: 1; flex-direction: column; gap: .75rem; min-height: 0 }
#people { display: flex; flex-wrap: wrap; gap: .5rem; max-height: 30vh; margin: 0; padding: 0;
          overflow-y: auto; scrollbar-width: thin; scrollbar-color: #9aa5b1 transparent; list-style: none }
#people li { padding: 0 .75rem; border-radius: 1rem; background: #d5e3f0; font-size: .875rem }
#messages { flex: 1; overflow-y: auto; padding: .75rem 1rem; border-radius: .5rem; background: #fff }
#messages p { margin: 0 0 .25rem; overflow-wrap: anywhere } #messages .mine b { color: #1d5f9e }
form { display: flex; gap: .5rem }
input, button { padding: .5rem .75rem; border: 1px solid #9aa5b1; border-radius: .5rem; font: inherit }
input { flex: 1; min-width: 0 } button { border-color: #1d5f9e; color: #fff; background: #1d5f9e }
button:disabled, .lost #people { opacity: .5 } :focus-visible { outline: 2px solid #1d5f9e }
footer { font-size: .8rem; text-align: center; color: #52606d }
</style>
<header><h1>lomond chat</h1><p id="status" role="status">not connected</p></header>
<form id="join"><input id="name" maxlength="40" placeholder="your name" aria-label="your name" required
autofocus><button>Join</button></form>
<div id="room" hidden>
<ul id="people" aria-label="who is here"></ul>
<div id="messages" role="log"></div>
<form id="say"><input id="text" maxlength="2000" placeholder="say something" aria-label="say something"
autocomplete="off" required><button id="send" disabled>Send</button></form>
</div>
<script>
'use strict';
const find = id => document.getElementById(id);
let socket, name, isOpen = false, pause = 500;
function connect() {
  socket = new WebSocket(location.href.replace(/^http/, 'ws').replace(/[?#].*/, ''));
  socket.onopen = () => {
    pause = 500;
    show(true, 'connected' + (socket.extensions.includes('permessage-deflate') ? ', compressed' : ''));
    socket.send(JSON.stringify({name: name}));
  };
  socket.onmessage = event => {
    const told = JSON.parse(event.data);
    find('people').replaceChildren(...told.people.map(one => make('li', one)));
    if (told.text) {
      const line = make('p', make('b', told.name), ': ' + told.text);
      line.classList.toggle('mine', told.name === name);
      find('messages').append(line);
      line.scrollIntoView({block: 'nearest'});
    }
  };
  socket.onclose = event => {
    if (isOpen)         // not for each attempt that fails
      show(false, 'closed (' + event.code + '), reconnecting');
    setTimeout(connect, pause);
    pause = Math.min(pause * 2, 5000);
  };
}
function show(isConnected, status) {
  isOpen = isConnected;
  document.body.className = isOpen ? 'open' : 'lost';
  find('send').disabled = !isOpen;
  find('status').textContent = status;
}
function make(tag, ...parts) {
  const made = document.createElement(tag);
  made.append(...parts);
  return made;
}
function join(wanted) {
  name = wanted;
  find('join').hidden = true;
  find('room').hidden = false;
  find('text').focus();
  connect();
}
find('join').onsubmit = event => { event.preventDefault(); join(find('name').value); };
find('say').onsubmit = event => {
  event.preventDefault();
  if (isOpen) {
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
        except (AttributeError, KeyError, RuntimeError, TypeError, ValueError):     # not from our page
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
