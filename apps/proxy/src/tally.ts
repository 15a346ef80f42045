/** What user space counts; published as one metric with a label for each. `never…` stays zero in a healthy deployment. */
export class Tally {
  staleEvents = 0;
  damaged = 0;
  setups = 0;
  spliced = 0;
  adopted = 0;
  /** Splices whose connections the logger has moved to another back end. */
  movedByLogger = 0;
  relayed = 0;
  strays = 0;
  strayResets = 0;
  strayResetsLimited = 0;
  gateHeld = 0;
  gateYielded = 0;
  setAloneNoPeer = 0;
  fenced = 0;
  fencedByNobody = 0;
  foundFenced = 0;
  joinedUnasked = 0;
  leftToPeers = 0;
  /** Segments before the splice whose bytes differ from what had arrived. */
  overlapsDiffer = 0;
  /** Segments before the splice for which there was no room. */
  noRoom = 0;
  headsTimedOut = 0;
  /** Heads that had to be acknowledged before they were complete (see stored-heads.ts). */
  headsInPieces = 0;
  headsInherited = 0;
  headsAlone = 0;
  headsRefused = 0;
  /** What became of bytes that were acknowledged before there was a back end (see replayer.ts). */
  owedDelivered = 0;
  owedRepeated = 0;
  owedTakenOver = 0;
  owedRefused = 0;
  owedGivenUp = 0;
  backendRefused = 0;
  backendSilent = 0;
  backendOldSocket = 0;
  backendPortTaken = 0;
  backendLacksOptions = 0;
  answered = 0;
  notAdmitted = 0;
  publishConflicts = 0;
  peersSilent = 0;
  recordsRefused = 0;
  recordsMalformed = 0;
  neverUnknownBackend = 0;
}
