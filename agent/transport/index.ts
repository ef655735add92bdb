/** The agent's transport, for the rest of the agent. */
export {
  type AgentHandler,
  type AgentHandlers,
  CallCancelled,
  type CallContext,
  type Peer,
} from './handlers.ts';
export { readAgentKeys } from './keys.ts';
export type { TransportEvent, TransportLog } from './log.ts';
export { AgentServer, type AgentServerOptions } from './server.ts';
export { type CurveKeyPair, curveKeyPair } from './socket.ts';
