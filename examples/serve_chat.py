"""Chat server: a page and a room, with a thread for each connection.

    python serve_chat.py [PORT]         # then open http://localhost:8080/ in two browsers

SIGTERM or Ctrl-C closes all connections; the page reconnects when the server is back.
"""

import json
import sys
import threading

from lomond.server import broadcast, serve

PAGE = '''<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>chat</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 45em; margin: 1em auto; padding: 0 1em }
#status { color: #666 } #messages { min-height: 12em; border: 1px solid #ccc; padding: .5em 1em }
#messages p { margin: 0 } #people { padding: 0 } #people li { display: inline; margin-right: 1em }
input { font: inherit; width: 70% } button { font: inherit }
</style>
<h1>Chat</h1>
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

names = {}                      # WebSocket -> name
lock = threading.Lock()         # messages come in the same order everywhere


def tell(**what):
    with lock:
        broadcast(names, json.dumps(dict(what, people=sorted(names.values()))))


def room(websocket):
    try:
        for event in websocket:
            if event.name == 'text':
                said = event.json
                if websocket not in names:
                    names[websocket] = said['name']
                    tell()
                else:
                    tell(name=names[websocket], text=said['text'])
    finally:
        if names.pop(websocket, None):
            tell()


def on_request(request):
    """Answer requests for the page; everything else goes on."""
    if request.path == '/' and request.get('Upgrade') is None:
        return 200, [('Content-Type', 'text/html; charset=utf-8')], PAGE.encode('utf-8')


if __name__ == '__main__':
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    serve(room, 'localhost', port, compress=True, on_request=on_request, max_message_size=16 * 1024)
