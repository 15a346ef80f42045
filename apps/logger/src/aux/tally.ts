/** What the auxiliary logger did, by kind; published as `events_total`. */
export class AuxiliaryTally {
  /** Connections with a header, admitted. */
  opened = 0;
  /** Connections that began with no usable PROXY header, or came from nobody's address. */
  refusedHeaders = 0;
  /** Connections beyond `limits.connections`. */
  turnedAway = 0;
  /** Attempts that had been taken over already. */
  refusedAttempts = 0;
  /** Back ends' epochs that had been followed by a newer one. */
  refusedEpochs = 0;
  /** A successor with a higher attempt came. */
  takeovers = 0;
  /** Predecessors that were cut off. */
  cut = 0;
  /** Mail dialogues and HTTP exchanges that a second connection went on with. */
  resumed = 0;
  /** Replies and responses given from the record. */
  replayed = 0;
  /** Envelopes or requests that differed from the record. */
  mismatches = 0;
  /** Messages whose content broke off: nothing of them was delivered. */
  contentsAborted = 0;
  /** Connections to auxiliary servers. */
  dialled = 0;
  /** Connections to auxiliary servers that broke off when they were needed. */
  upstreamLost = 0;
  /** Envelopes said again to an auxiliary server on a new connection. */
  envelopesReplayed = 0;
  /** Final answers that could not be recorded and so were not given. */
  unrecorded = 0;
  /** Records that the disk did not give back. */
  unreadable = 0;
  /** Final answers that we do not know whether they were made, since the last daemon ended before it could record them. */
  inDoubt = 0;
  /** Asked for once more although in doubt, since then or since the disk did not give it back. */
  inDoubtRepeated = 0;
  /** Not asked for again, being in doubt: the server might do it twice. */
  inDoubtRefused = 0;
  /** Transactions that were forgotten since clients have their responses. */
  committed = 0;
  /** Responses too long to be recorded. */
  unprotected = 0;
  /** Commands, lines and messages that a back end must not send. */
  violations = 0;
}
