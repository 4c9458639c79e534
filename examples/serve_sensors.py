"""Live chart of a phone's motion sensor: a server in a Group, one thread for all.

    python serve_sensors.py [--fake] [PORT]     # then open http://localhost:8080/

Open /sensor on a phone (`adb reverse tcp:8080 tcp:8080`, or by a proxy with TLS), or
let --fake invent the values. Every viewer gets 20 values a second; one that does not
keep up is dropped, and its page connects again.
"""

import json
import math
import signal
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
* { box-sizing: border-box }
body { max-width: 56rem; margin: auto; padding: 1rem; color: #1f2933; background: #eef1f4;
       font: 1rem/1.5 system-ui, sans-serif }
header { display: flex; align-items: baseline; gap: 1rem } h1 { flex: 1; margin: 0; font-size: 1.4rem }
#status { margin: 0; font-size: .875rem; color: #52606d } .lost #status { color: #c2410c }
canvas { display: block; width: 100%; height: min(24rem, 60vh); margin: .75rem 0; border-radius: .5rem;
         background: #fff }
#newest { display: flex; gap: 1rem; margin: 0; font-variant-numeric: tabular-nums } b { min-width: 5rem }
</style>
<header><h1>Sensors</h1><p id="status" role="status">not connected</p></header>
<canvas id="chart"></canvas>
<p id="newest"></p>
<script>
'use strict';
const SECONDS = 10, NAMES = ['x', 'y', 'z'], COLORS = ['#c0392b', '#27763d', '#2456a6'];
const find = id => document.getElementById(id), canvas = find('chart'), chart = canvas.getContext('2d');
let points = [], arrivals = [], isOpen = false, pause = 500;
function connect() {
  const socket = new WebSocket(location.href.replace(/^http/, 'ws').replace(/[?#].*/, ''));
  socket.onopen = () => { pause = 500; points = []; arrivals = []; show(true, 'connected'); };
  socket.onmessage = event => {
    const told = JSON.parse(event.data), now = performance.now();
    points = points.filter(point => point[0] > told.time - SECONDS).concat([[told.time, ...told.values]]);
    arrivals = arrivals.filter(when => when > now - 5000).concat(now);
    const rate = Math.round((arrivals.length - 1) / (now - arrivals[0]) * 1000) || 0;
    find('newest').replaceChildren(...NAMES.map((name, i) => {
      const made = document.createElement('b');
      made.style.color = COLORS[i];
      made.textContent = name + ' ' + told.values[i].toFixed(2);
      return made;
    }));
    show(true, rate + ' values/s, ' + told.viewers + ' viewer' + (told.viewers === 1 ? '' : 's'));
  };
  socket.onclose = event => {
    if (isOpen)         // not for each attempt that fails
      show(false, (event.code === 1006 ? 'too slow' : 'closed (' + event.code + ')') + ', reconnecting');
    setTimeout(connect, pause);
    pause = Math.min(pause * 2, 5000);
  };
}
function show(isConnected, status) {
  isOpen = isConnected;
  document.body.className = isOpen ? '' : 'lost';
  find('status').textContent = status;
}
function draw() {
  const scale = devicePixelRatio, left = 36, right = canvas.clientWidth - 24;
  const top = 14, bottom = canvas.clientHeight - 30;
  canvas.width = canvas.clientWidth * scale;            // clears it, too
  canvas.height = canvas.clientHeight * scale;
  chart.scale(scale, scale);
  chart.font = '13px system-ui, sans-serif';
  const last = points.length ? points[points.length - 1] : [0];
  const most = Math.ceil(Math.max(1, ...points.map(point => Math.max(...point.slice(1).map(Math.abs)))));
  const x = when => right - (last[0] - when) / SECONDS * (right - left);
  const y = value => (top + bottom - value / most * (bottom - top)) / 2;
  chart.strokeStyle = '#d9dee4'; chart.fillStyle = '#52606d';
  chart.textAlign = 'right'; chart.textBaseline = 'middle';
  for (const value of [-most, -most / 2, 0, most / 2, most]) {
    line([[left, y(value)], [right, y(value)]]);
    chart.fillText(value, left - 8, y(value));
  }
  chart.textAlign = 'center';
  for (let ago = 0; ago <= SECONDS; ago += 2) {
    line([[x(last[0] - ago), top], [x(last[0] - ago), bottom]]);
    chart.fillText(ago ? -ago + ' s' : 'now', x(last[0] - ago), bottom + 16);
  }
  chart.lineWidth = 2; chart.lineJoin = 'round'; chart.textAlign = 'left';
  let above = -Infinity;
  NAMES.map((name, i) => [y(last[i + 1]), name, i]).sort((a, b) => a[0] - b[0]).forEach(([at, name, i]) => {
    chart.strokeStyle = chart.fillStyle = COLORS[i];
    line(points.map(point => [x(point[0]), y(point[i + 1])]));
    above = Math.max(at, above + 14);                   // the names stand clear of one another
    chart.fillText(name, right + 8, above);
  });
  requestAnimationFrame(draw);
}
function line(places) {
  chart.beginPath();
  places.forEach(place => chart.lineTo(...place));
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
<style>
body { max-width: 30rem; margin: auto; padding: 1rem; color: #1f2933; background: #eef1f4;
       font: 1rem/1.5 system-ui, sans-serif }
h1 { font-size: 1.4rem }
button { width: 100%; padding: 1rem; border: 0; border-radius: .5rem; font: inherit; color: #fff;
         background: #1d5f9e }
button:disabled { opacity: .5 } #newest { font-variant-numeric: tabular-nums }
</style>
<h1>Sensor</h1>
<button id="start">Start</button>
<p id="status" role="status">Browsers give motion only to pages that come over TLS, or from localhost.</p>
<p id="newest"></p>
<script>
'use strict';
const find = id => document.getElementById(id), start = find('start');
const show = (isRunning, status) => { start.disabled = isRunning; find('status').textContent = status; };
start.onclick = async () => {
  show(true, 'connecting');
  if (window.DeviceMotionEvent && DeviceMotionEvent.requestPermission)
    await DeviceMotionEvent.requestPermission();
  const socket = new WebSocket(location.href.replace(/^http/, 'ws').replace(/[?#].*/, ''));
  window.ondevicemotion = event => {
    const g = event.accelerationIncludingGravity, values = g ? [g.x, g.y, g.z] : [null];
    if (values.includes(null)) {
      find('newest').textContent = 'no motion sensor here';
      return;
    }
    find('newest').textContent = values.map((value, i) => 'xyz'[i] + ' ' + value.toFixed(2)).join(', ');
    if (socket.readyState === 1)
      socket.send(JSON.stringify(values));
  };
  socket.onopen = () => show(true, 'connected');
  socket.onclose = () => show(false, 'closed; start again');
};
</script>
</html>
'''

PAGES = {'/': VIEW, '/sensor': SENSOR}
LIMIT = 4 * 1024       # bytes that a viewer may be behind


def on_request(request):
    """Answer requests for the pages; everything else goes on."""
    if request.get('Upgrade') is None and request.path in PAGES:
        return 200, [('Content-Type', 'text/html; charset=utf-8')], PAGES[request.path].encode('utf-8')


def main(port=8080, is_fake=False):
    group = Group([Server(port=int(port), on_request=on_request, max_message_size=1024)], poll=0.01)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *ignored: group.close())
    viewers, values, due = set(), [0.0, 0.0, 0.0], 0
    for websocket, event in group:
        if event.name == 'poll' and time.time() >= due:
            now = time.time()
            due = max(due + 0.05, now - 1)          # a delay is made up for
            if is_fake:
                values = [math.sin(now), 2 * math.sin(now * 1.7), math.cos(now * 3) + math.sin(now * 11) / 5]
            broadcast(viewers, json.dumps(dict(time=now, values=values, viewers=len(viewers))), limit=LIMIT)
        elif event.name == 'accepted' and event.request.path == '/':
            viewers.add(websocket)
        elif event.name == 'disconnected':
            viewers.discard(websocket)
        elif event.name == 'text' and websocket.request.path == '/sensor':
            try:
                x, y, z = [float(value) for value in event.json]
                values = [x, y, z] if math.isfinite(x + y + z) else values      # JSON has no others
            except Exception:           # whatever came: one loop serves all, and has to go on
                websocket.close(1007, 'three numbers are wanted')


if __name__ == '__main__':
    words = [word for word in sys.argv[1:] if word != '--fake']
    main(*words, is_fake='--fake' in sys.argv)
