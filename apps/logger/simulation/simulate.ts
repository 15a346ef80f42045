import { Detector, type DetectorSettings, type TimeoutBounds, type Watch } from '../src/detector/index.ts';
import { Random } from './random.ts';
import type { Happening, Transaction } from './transaction.ts';

/** How often the owner looks whether a deadline has passed, ms. */
const TICK_MS = 10;
/** Of every so many transactions the server dies in one: detection is timed. */
const DEATHS = 200;
/** Of those before, the detector has learnt enough: deaths count from here on. */
const WARM_UP = 1000;

export interface Outcome {
  /** Suspicions of servers that were alive, per 100,000 transactions. */
  falseSuspicions: number;
  /** From a death while the response's first byte is awaited to the suspicion, ms. */
  first: number[];
  /** The same within a response, from the client's last acknowledgement on. */
  rest: number[];
}

interface Source {
  begin(random: Random): (number: number) => Transaction;
}

/** Plays transactions one after another to a new detector. */
export function simulate(
  source: Source,
  settings: Partial<DetectorSettings>,
  bounds: TimeoutBounds,
  { transactions, seed }: { transactions: number; seed: number },
): Outcome {
  const detector = new Detector(settings);
  const next = source.begin(new Random(seed));
  const outcome: Outcome = { falseSuspicions: 0, first: [], rest: [] };
  let now = 0;
  let wrong = 0;
  for (let number = 0; number < transactions; number++) {
    const { cls, happenings } = next(number);
    const begin = (before?: Watch) => detector.watch(`backend-${1 + (number % 2)}`, cls, bounds, before);
    if (number % DEATHS === DEATHS - 1 && number > WARM_UP) timeDeaths(outcome, begin, now, happenings);
    let watch = begin();
    for (let i = 0; i < happenings.length; i++) {
      const happening = happenings[i]!;
      // Whoever is suspected is replaced; the request takes as long there.
      while (watch.isSuspect(now + happening.at - TICK_MS)) {
        wrong++;
        const again = begin(watch);
        watch.abandon();
        for (let j = 0; j < i; j++) tell(again, now, happenings[j]!);
        watch = again;
      }
      tell(watch, now, happening);
    }
    now += happenings.at(-1)!.at;
  }
  outcome.falseSuspicions = (wrong / transactions) * 100_000;
  return outcome;
}

function tell(watch: Watch, start: number, happening: Happening): void {
  const now = start + happening.at;
  if (happening.what === 'complete') watch.requestComplete(now);
  else if (happening.what === 'first') watch.firstByte(now);
  else if (happening.what === 'bytes') watch.serverBytes(now);
  else if (happening.what === 'repeat') watch.serverRepeat(now);
  else if (happening.what === 'ack') watch.clientAck(now, happening.outstanding, happening.window);
  else watch.done();
}

function timeDeaths(
  outcome: Outcome,
  begin: () => Watch,
  now: number,
  happenings: readonly Happening[],
): void {
  const unanswered = begin();
  const complete = happenings.find(({ what }) => what === 'complete')!;
  tell(unanswered, now, complete);
  outcome.first.push(unanswered.deadline()! + TICK_MS - now - complete.at);
  unanswered.abandon();
  // A response of one packet is over when its last byte is sent; there is nothing left to wait for.
  if (!happenings.some(({ what }) => what === 'bytes')) return;
  const broken = begin();
  for (const happening of happenings) {
    if (happening.what === 'bytes') break;
    tell(broken, now, happening);
    if (happening.what === 'ack') outcome.rest.push(broken.deadline()! + TICK_MS - now - happening.at);
  }
  broken.abandon();
}
