// SPDX-License-Identifier: Apache-2.0
// How WebSockets are left. Browsers make one connection at a time to each address: one that gets no answer holds up all later ones.

const standMs = 5000;

/** Whether the browser still makes this connection, or waits for its turn. */
export const isComing = (socket) => socket?.readyState === WebSocket.CONNECTING;

/** A browser writes an error for a connection that is closed before it stands, so that one is closed as soon as it does, or after a while. */
export function hangUp(socket) {
  if (!isComing(socket)) return socket?.close();
  socket.onopen = () => socket.close();
  setTimeout(() => socket.close(), standMs);
}
