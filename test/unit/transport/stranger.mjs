// Connects to a call socket as whoever runs it, and prints what becomes of that as one word.
import { Dealer } from 'zeromq';

const { path, publicKey, secretKey, serverKey } = JSON.parse(process.argv[2]);
const socket = new Dealer({
  linger: 0,
  reconnectInterval: -1,
  curvePublicKey: publicKey,
  curveSecretKey: secretKey,
  curveServerKey: serverKey,
});
const finish = (word) => {
  process.stdout.write(`${word}\n`);
  process.exit(0);
};
setTimeout(() => finish('silence'), 8_000);
const events = socket.events;
socket.connect(`ipc://${path}`);
for await (const event of events) {
  if (event.type === 'handshake') finish('admitted');
  if (event.type === 'handshake:error:auth') finish('refused');
  if (event.type === 'close') finish('unreachable');
}
