// What npm's ws sees of lomond's server: NPM-FOLDER URL FULL-URL; prints JSON, as python_clients.py does.
'use strict';

const path = require('path');
const WebSocket = require(path.join(process.argv[2], 'node_modules', 'ws'));
const [url, fullUrl] = process.argv.slice(3);
const text = 'h\u00e4llo \u20ac';
const binary = Buffer.alloc(200192, 'abcdef');

// Connects; resolves to the socket, with `closed` as a promise, or to the status of a refusal.
function connect(address, options) {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(address, ['chat.v0', 'chat.v1'], options);
    socket.closed = new Promise((done) => socket.on('close', (code, reason) => done([code, String(reason)])));
    socket.messages = [];
    socket.on('message', (data) => socket.messages.push(data));
    socket.on('open', () => resolve(socket));
    socket.on('unexpected-response', (request, response) => resolve(response.statusCode) || request.destroy());
    socket.on('error', (error) => socket.readyState === WebSocket.CONNECTING && reject(error));
  });
}

async function receive(socket) {
  while (!socket.messages.length) await new Promise((done) => socket.once('message', done));
  return socket.messages.shift();
}

function close(socket, code, reason) {
  socket.close(code, reason);
  return socket.closed;
}

async function main() {
  let socket = await connect(url + '/ws/echo');
  const seen = { connect: 101, protocol: socket.protocol };
  seen.compressed = socket.extensions.includes('permessage-deflate');
  socket.send(text);
  seen.text = String(await receive(socket)) === text;
  socket.send(binary);
  seen.binary = binary.equals(await receive(socket));
  socket.ping('ours');
  seen.ping = await new Promise((done) => socket.on('pong', (data) => done(String(data) === 'ours')));
  seen.close = await close(socket, 4001, 'd\u00f6ne');
  seen.closed = await (await connect(url + '/ws/close')).closed;
  socket = await connect(url + '/ws/ping');
  seen.pong = String(await receive(socket));
  await close(socket, 1000);
  socket = await connect(url + '/ws/echo', { perMessageDeflate: false });
  socket.send(Buffer.alloc(2 * 1024 * 1024));
  seen.large = (await socket.closed)[0];
  socket = await connect(url + '/ws/echo', { origin: url.replace('ws:', 'http:') });
  seen['own origin'] = 101;
  await close(socket, 1000);
  seen.refused = [await connect(url + '/ws/echo', { origin: 'https://evil.example' }),
    await connect(url + '/ws/nothing')];
  const first = await connect(fullUrl + '/ws/echo');
  seen.refused.push(await connect(fullUrl + '/ws/echo'));
  await close(first, 1000);
  console.log(JSON.stringify(seen));
}

main();
