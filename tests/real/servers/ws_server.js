// The scripted server of tests/real on npm's ws: NPM-FOLDER, then PORT or PORT:OPTIONS (JSON of
// perMessageDeflate) ...
'use strict';

const http = require('http');
const path = require('path');
const { WebSocketServer } = require(path.join(process.argv[2], 'node_modules', 'ws'));

function handle(socket, url) {
  const text = (name, missing) => url.searchParams.get(name) ?? missing;
  socket.on('error', () => {});
  const echo = () => socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
  switch (url.pathname) {
    case '/echo':
      return echo();
    case '/close':
      return text('code') ? socket.close(Number(text('code')), text('reason', '')) : socket.close();
    case '/close-later':
      return socket.on('message', () => socket.close(Number(text('code')), text('reason', '')));
    case '/drop':
      return socket.on('message', () => socket.terminate());
    case '/greet':
      for (let i = 0; i < 3; i++) socket.send('greeting ' + i);
      return echo();
    case '/ping':
      socket.on('pong', (data) => socket.send('pong ' + data));
      for (let i = 0; i < 3; i++) socket.ping('ping ' + i);
      return echo();
    case '/big': {
      const size = Number(text('size'));
      socket.send(Buffer.alloc(size, 'abcdefghijklmnopqrstuvwxyz'));
      return socket.send('z'.repeat(size));
    }
    case '/fragments': {
      const count = Number(text('count'));
      for (let i = 0; i < count; i++) socket.send('part ' + i + ';', { fin: i === count - 1 });
    }
  }
}

for (const argument of process.argv.slice(3)) {
  const [, port, options] = /^(\d+):?(.*)$/.exec(argument);
  const wss = new WebSocketServer({
    noServer: true,
    maxPayload: 16 * 1024 * 1024,
    perMessageDeflate: options ? Object.assign({ threshold: 0 }, JSON.parse(options)) : false,
    handleProtocols: (offered) => (offered.has('chat') ? 'chat' : false),
  });
  const server = http.createServer((request, response) => {
    response.writeHead(426);
    response.end('a WebSocket is wanted here');
  });
  server.on('upgrade', (request, socket, head) => {
    const url = new URL(request.url, 'http://localhost');
    if (url.pathname === '/reject') {
      const body = url.searchParams.get('body');
      socket.on('error', () => {});
      return socket.end(`HTTP/1.1 ${url.searchParams.get('status')} Rejected\r\n` +
                        'Content-Type: text/plain\r\n' +
                        `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`);
    }
    wss.handleUpgrade(request, socket, head, (ws) => handle(ws, url));
  });
  server.listen(Number(port), '127.0.0.1');
}
