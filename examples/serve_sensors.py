"""Live chart of a phone's motion sensor: a server in a Group, one thread for all.

    python serve_sensors.py [--fake] [PORT]     # then open http://localhost:8080/

Open /sensor on a phone, or let --fake invent the values. Every viewer gets 20 values a
second; one that does not keep up is dropped, and its page connects again.
"""

import json
import math
import sys
import time

from lomond.group import Group
from lomond.server import Server, broadcast

VIEW = '''<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>sensors</title>
<style>
body { font: 16px/1.5 sans-serif; max-width: 50em; margin: 1em auto; padding: 0 1em }
canvas { width: 100%; border: 1px solid #ccc } #status { color: #666 }
</style>
<h1>Sensors</h1>
<canvas id="chart" width="800" height="360"></canvas>
<p id="newest"></p>
<p id="status">not connected</p>
<script>
'use strict';
const SECONDS = 10, NAMES = ['x', 'y', 'z'], COLORS = ['#c0392b', '#27763d', '#2456a6'];
const find = id => document.getElementById(id);
const chart = find('chart').getContext('2d'), LEFT = 50, TOP = 12, WIDTH = 735, HEIGHT = 310;
let points = [], arrivals = [], pause = 500;
function connect() {
  const socket = new WebSocket(location.href.replace(/^http/, 'ws').replace(/[?#].*/, ''));
  socket.onopen = () => { pause = 500; find('status').textContent = 'connected'; };
  socket.onmessage = event => {
    const told = JSON.parse(event.data), now = performance.now() / 1000;
    points.push([told.time].concat(told.values));
    points = points.filter(point => point[0] > told.time - SECONDS);
    arrivals = arrivals.filter(when => when > now - 1).concat(now);
    find('newest').textContent = NAMES.map((name, i) => name + ' ' + told.values[i].toFixed(2)).join(', ');
    find('status').textContent = arrivals.length + ' values/s, ' + told.viewers +
      (told.viewers === 1 ? ' viewer' : ' viewers');
  };
  socket.onclose = event => {
    find('status').textContent =
      (event.code === 1006 ? 'too slow' : 'closed (' + event.code + ')') + ', reconnecting';
    points = [];
    setTimeout(connect, pause);
    pause = Math.min(pause * 2, 5000);
  };
}
function draw() {
  chart.clearRect(0, 0, 800, 360);
  chart.font = '14px sans-serif';
  const last = points.length ? points[points.length - 1][0] : 0;
  const most = Math.max(1, ...points.map(point => Math.max(...point.slice(1).map(Math.abs))));
  const x = when => LEFT + WIDTH * (1 - (last - when) / SECONDS);
  const y = value => TOP + HEIGHT / 2 * (1 - value / most);
  chart.strokeStyle = '#ddd'; chart.fillStyle = '#444'; chart.lineWidth = 1;
  for (const value of [-most, 0, most]) {
    line([[LEFT, y(value)], [LEFT + WIDTH, y(value)]]);
    chart.textAlign = 'right'; chart.fillText(value.toFixed(1), LEFT - 6, y(value) + 5);
  }
  for (let ago = 0; ago <= SECONDS; ago += 2) {
    line([[x(last - ago), TOP], [x(last - ago), TOP + HEIGHT]]);
    chart.textAlign = 'center';
    chart.fillText(ago ? '-' + ago + ' s' : 'now', x(last - ago) - (ago ? 0 : 12), 345);
  }
  chart.lineWidth = 2; chart.textAlign = 'left';
  NAMES.forEach((name, i) => {
    chart.strokeStyle = chart.fillStyle = COLORS[i];
    line(points.map(point => [x(point[0]), y(point[i + 1])]));
    chart.fillText(name, LEFT + 8 + 24 * i, TOP + 16);
  });
  requestAnimationFrame(draw);
}
function line(places) {
  chart.beginPath();
  places.forEach((place, i) => i ? chart.lineTo(...place) : chart.moveTo(...place));
  chart.stroke();
}
connect();
draw();
</script>
</html>
'''

SENSOR = '''<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>sensor</title>
<h1>Sensor</h1>
<button id="start">Start</button>
<p id="status">Browsers give motion only to pages that come over TLS, or from localhost.</p>
<script>
'use strict';
document.getElementById('start').onclick = async () => {
  if (DeviceMotionEvent.requestPermission)
    await DeviceMotionEvent.requestPermission();
  const socket = new WebSocket(location.href.replace(/^http/, 'ws').replace(/[?#].*/, ''));
  window.ondevicemotion = event => {
    const g = event.accelerationIncludingGravity;
    if (socket.readyState === 1)
      socket.send(JSON.stringify([g.x || 0, g.y || 0, g.z || 0]));
  };
  socket.onopen = () => document.getElementById('status').textContent = 'connected';
  socket.onclose = () => document.getElementById('status').textContent = 'closed; start again';
};
</script>
</html>
'''

PAGES = {'/': VIEW, '/sensor': SENSOR}
LIMIT = 64 * 1024       # bytes that a viewer may be behind


def on_request(request):
    """Answer requests for the pages; everything else goes on."""
    if request.get('Upgrade') is None and request.path in PAGES:
        return 200, [('Content-Type', 'text/html; charset=utf-8')], PAGES[request.path].encode('utf-8')


def main(port=8080, is_fake=False):
    server = Server(host='localhost', port=int(port), on_request=on_request, max_message_size=1024)
    viewers, values = set(), [0.0, 0.0, 0.0]
    for websocket, event in Group([server], poll=0.05):
        if event.name == 'poll':
            now = time.time()
            if is_fake:
                values = [math.sin(now), 2 * math.sin(now * 1.7), math.cos(now * 3) + math.sin(now * 11) / 5]
            told = json.dumps({'time': now, 'values': values, 'viewers': len(viewers)})
            broadcast(viewers, told, limit=LIMIT)
        elif event.name == 'accepted' and event.request.path == '/':
            viewers.add(websocket)
        elif event.name == 'disconnected':
            viewers.discard(websocket)
        elif event.name == 'text' and websocket.request.path == '/sensor':
            try:
                x, y, z = [float(value) for value in event.json]
                values = [x, y, z]
            except (TypeError, ValueError):         # one loop serves all: it has to go on
                websocket.close(1007, 'three numbers are wanted')


if __name__ == '__main__':
    words = [word for word in sys.argv[1:] if word != '--fake']
    main(*words, is_fake='--fake' in sys.argv)
