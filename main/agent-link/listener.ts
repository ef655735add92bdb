/** Whether somebody listens behind a socket's file, without saying anything to them. */
import { connect } from 'node:net';

export function isListening(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    // EAGAIN: so many wait there already that the queue is full (unix(7)).
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'EAGAIN'));
  });
}
