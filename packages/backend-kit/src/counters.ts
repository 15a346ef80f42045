/** What a kit has done; totals since its start. */
export class Counters {
  /** Records kept by an alternate before their response left. */
  journalled = 0;
  /** Responses that left although nobody could keep a record. */
  degraded = 0;
  /** Responses that were too long to be kept, and left without. */
  tooLong = 0;
  /** Tagged requests whose connection or number nobody knew. */
  unprotected = 0;
  /** Sockets whose ports belonged to another connection by then. */
  stale = 0;
  /** Responses that were given from a record. */
  replayed = 0;
  /** Transactions that were run again with the state of the first time. */
  rerun = 0;
  /** Requests that waited for the same transaction, which was running here still. */
  joined = 0;
  /** Runs whose answer did not leave, since a later attempt was known. */
  superseded = 0;
  /** Runs that were over, with their connection, before their response was whole: nothing is left of them. */
  abandoned = 0;
  /** Records shipped again when the alternate had gone. */
  reshipped = 0;
  /** Records that others gave us to keep. */
  kept = 0;
  /** Records forgotten since the client has the response. */
  committed = 0;
  /** Records forgotten for age or want of room. */
  expired = 0;
  /** Session changes that were told to others. */
  sessionChanges = 0;
  /** Late writes to sessions that had been destroyed. */
  sessionsNotRevived = 0;
  recovers = 0;
  lookups = 0;
}
