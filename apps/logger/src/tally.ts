/** What user space counts; published as one metric with a label for each. */
export class LoggerTally {
  opened = 0;
  /** Connections that could not be followed: upgraded ones, broken streams, those of a former run. */
  unprotected = 0;
  /** Connections that made room in the table for others, and those of which nothing was seen for two hours. */
  evicted = 0;
  gone = 0;
  /** Connections of a former daemon that are protected on, and those that are not. */
  adopted = 0;
  abandoned = 0;
  transactions = 0;
  /** Times that a connection's unfinished requests did not fit, and what they were was dropped. */
  requestsTooLong = 0;
  /** Times that the disk did not take or give what was to be kept there. */
  spillFailures = 0;
  /** Connections that left a back end in the middle of a transaction, by what told that it had failed. */
  failedByEnd = 0;
  failedByLiveness = 0;
  failedByTimeout = 0;
  /** Back ends that were given more time for an update: they were late, and answered others. */
  reprieved = 0;
  /** Connections that lost their back end while they were idle. */
  unbound = 0;
  /** SYNs to alternates. */
  dialled = 0;
  /** Responses that were the same as far as they had been heard. */
  passed = 0;
  moved = 0;
  /** Connections that only the back end which had been given up could go on with: it was alive. */
  givenBack = 0;
  /** Responses that were not: their connections were reset. */
  differs = 0;
  reset = 0;
  /** Requests that were answered with 502 or 503. */
  refused = 0;
  /** Times that a kit was asked what it has of a transaction, and times that it did not answer. */
  recoveriesAsked = 0;
  recoveriesUnanswered = 0;
  /** Answers that there is a journal. */
  journalsFound = 0;
  /** Transactions of which a response had begun, and nobody had the journal: a kit has not kept its promise. */
  journalsMissing = 0;
  /** Transactions that the kits were told to forget. */
  committed = 0;
  /** Packets of connections that nobody knows, while a listener has rules for each request: told to end. */
  strays = 0;
  /** Connections that went to another pool, since their next request belongs there. */
  poolsChanged = 0;
  /** Requests that the rules of their listener refuse. */
  forbidden = 0;
  /** Later heads that were not complete in time: 408. */
  headsTimedOut = 0;
  /** Segments that contradict what is logged: their connections were reset. */
  overlapsDiffer = 0;
  endsPassed = 0;
  /** Segments of responses that were sent to clients again, since a proxy had died with them. */
  saidAgain = 0;
  backendRefused = 0;
  backendSilent = 0;
  backendOldSocket = 0;
  backendPortTaken = 0;
  backendLacksOptions = 0;
  peersSilent = 0;
  recordsRefused = 0;
  recordsMalformed = 0;
  recordsUnexpected = 0;
}
