// Socket.IO's own server: NPM-FOLDER PORT.  Says back what it is told, text and bytes.
'use strict';

const path = require('path');
const { Server } = require(path.join(process.argv[2], 'node_modules', 'socket.io'));

const io = new Server({ pingInterval: 300, pingTimeout: 400, maxHttpBufferSize: 1e7 });
io.on('connection', (socket) => {
  socket.emit('hello', socket.handshake.query.name ?? 'you');
  socket.on('say', (what, done) => {
    socket.emit('said', what);
    if (done) done('ok');
  });
  socket.on('leave', () => socket.disconnect(true));
});
io.listen(Number(process.argv[3]), { hostname: '127.0.0.1' });
