import type { Random } from './random.ts';
import { Script, type Transaction } from './transaction.ts';

/** Transactions of one kind of application, each by its number from 0 on. */
export interface Workload {
  name: string;
  /** Makes a source of transactions that starts anew. */
  begin(random: Random): (number: number) => Transaction;
}

function workload(name: string, make: (random: Random, number: number) => Transaction): Workload {
  return { name, begin: random => number => make(random, number) };
}

export const workloads: readonly Workload[] = [
  workload('API, 5 ms', random => new Script().request().first(random.logNormal(5, 0.5)).done('api')),
  workload('pages, 40 ms, wide', random =>
    new Script().request().first(random.logNormal(40, 1)).done('page'),
  ),
  workload('cache: 90 % 2 ms, 10 % 800 ms', random => {
    const ms = random.chance(0.9) ? random.logNormal(2, 0.3) : random.logNormal(800, 0.3);
    return new Script().request().first(ms).done('cache');
  }),
  workload('1 of 200 a report of 10 s', random => {
    const ms = random.chance(0.005) ? random.logNormal(10_000, 0.2) : random.logNormal(20, 0.5);
    return new Script().request().first(ms).done('report');
  }),
  workload('reports of 10 s', random =>
    new Script().request().first(random.logNormal(10_000, 0.2)).done('report'),
  ),
  workload('long polls, 30 s at most', random =>
    new Script()
      .request()
      .first(Math.min(30_000, random.exponential(20_000)))
      .done('poll'),
  ),
  workload('event streams, 15 s at most', random => {
    const script = new Script().request().first(random.logNormal(5, 0.5));
    for (let i = 0; i < 20; i++) script.more(Math.min(15_000, random.exponential(5000)));
    return script.done('stream');
  }),
  workload('slow readers', random => {
    const script = new Script().request().first(random.logNormal(5, 0.5));
    for (let i = 0; i < 16; i++) script.pause(random.uniform(100, 3000), 30);
    return script.more(0.2).done('file');
  }),
  workload('readers that pause 1…60 s', random =>
    new Script()
      .request()
      .first(random.logNormal(5, 0.5))
      .pause(random.uniform(1000, 60_000))
      .more(0.2)
      .done('file'),
  ),
  workload('uploads of 1…60 s', random =>
    new Script().request(random.uniform(1000, 60_000)).first(random.logNormal(20, 0.5)).done('upload'),
  ),
  workload('2 % loss, 200 ms away', random => {
    const script = new Script().request().first(random.logNormal(5, 0.5), 200);
    for (let i = 0; i < 10; i++) {
      if (random.chance(0.02)) script.lost(random, 0.02, 200);
      else script.more(0.2, 200);
    }
    return script.done('far');
  }),
  { name: 'API, server pauses 50…300 ms', begin: pausing },
  workload('API, 20 times slower now and then', (random, number) => {
    // Within 200 requests to twenty times, for 2,000, every 10,000.
    const phase = number % 10_000;
    const slower = phase < 7800 ? 1 : Math.min(20, 1 + ((phase - 7800) * 19) / 200);
    return new Script()
      .request()
      .first(random.logNormal(20, 0.5) * slower)
      .done('api');
  }),
  { name: '500 pages, each of its own speed', begin: many },
];

/** Collections of garbage, every two seconds on average: whoever is being served waits. */
function pausing(random: Random): (number: number) => Transaction {
  let now = 0;
  let from = random.exponential(2000);
  let to = from + random.uniform(50, 300);
  return () => {
    now += random.exponential(10);
    let ms = random.logNormal(5, 0.5);
    while (to <= now) {
      from = to + random.exponential(2000);
      to = from + random.uniform(50, 300);
    }
    if (now + ms > from) ms += to - Math.max(now, from);
    return new Script().request().first(ms).done('api');
  };
}

/** Some are asked for often, most rarely (Zipf); medians are 5 ms to 2 s. */
function many(random: Random): (number: number) => Transaction {
  const medians = Array.from({ length: 500 }, () => 5 * 400 ** random.next());
  return () => {
    const page = Math.floor(500 ** random.next()) - 1;
    return new Script().request().first(random.logNormal(medians[page]!, 0.5)).done(`page ${page}`);
  };
}
