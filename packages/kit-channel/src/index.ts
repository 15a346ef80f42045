export { alternateOf } from './alternate.ts';
export { ChannelClient, type ChannelClientOptions, ChannelError } from './client.ts';
export { MAX_FRAME_BYTES, type Message } from './frame.ts';
export { channelKey, kitKeyOf, macKey } from './key.ts';
export {
  type Answer,
  type Fields,
  type JournalRecord,
  type RecoverAnswer,
  type Request,
  recoverAnswer,
  type SessionChange,
} from './messages.ts';
export { ChannelServer, type ChannelServerOptions, type Reply } from './server.ts';
export {
  connectionName,
  type KitConnection,
  kitConnection,
  LAST_NUMBER,
  randomTransactionId,
  transactionId,
  UNKNOWN_START,
} from './transaction-id.ts';
