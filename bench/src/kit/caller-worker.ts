/** The caller's thread: one kept-alive connection from the client's place, one request at a time. */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { parentPort, workerData } from 'node:worker_threads';
import { Person } from '@resplice/drill/person';
import { enterNetworkNamespace } from '@resplice/e2e/fixtures/network-namespace.ts';
import { DEMO_PASSWORD, demoAccounts } from '@resplice/mailstore';
import { urlOf, vip } from '@resplice/topology';
import type { CallerAnswer, CallerOrder } from './caller.ts';

/** @returns milliseconds that the operation's request took */
type Call = () => Promise<number>;

const { subject, namespace } = workerData as CallerOrder;
const port = parentPort!;
enterNetworkNamespace(namespace);

function appCalls(): Record<string, Call> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let cookie = '';
  const call = async (method: string, path: string): Promise<number> => {
    const body = method === 'POST' ? JSON.stringify({ words: 'y'.repeat(200) }) : undefined;
    const headers = {
      ...(cookie === '' ? {} : { cookie }),
      ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }),
    };
    const from = performance.now();
    const asked = request({ host: vip.address, port: vip.port, method, path, agent, headers });
    asked.end(body);
    const [response] = (await once(asked, 'response')) as [IncomingMessage];
    const text = (await response.setEncoding('utf8').toArray()).join('');
    const ms = performance.now() - from;
    if (response.statusCode !== 200)
      throw new Error(`answered ${response.statusCode}: ${text.slice(0, 100)}`);
    const [, given] = /^([^;]+)/.exec(response.headers['set-cookie']?.[0] ?? '') ?? [];
    if (given !== undefined) cookie = given;
    return ms;
  };
  return {
    'app.read': () => call('GET', '/read'),
    'app.response': () => call('POST', '/response'),
    'app.state': () => call('POST', '/state'),
  };
}

function webmailCalls(): Record<string, Call> {
  const [author, reader] = demoAccounts;
  let took = Number.NaN;
  const personOf = (wanted: RegExp): Person =>
    new Person(urlOf(vip.port), { address: author.address, password: DEMO_PASSWORD }, (method, path, ms) => {
      if (wanted.test(`${method} ${path}`)) took = ms;
    });
  /** The request that was waited for: what leads up to it is not. */
  const timed = async (work: () => Promise<unknown>): Promise<number> => {
    took = Number.NaN;
    await work();
    if (Number.isNaN(took)) throw new Error('the request was never made');
    return took;
  };
  const loggedIn = (wanted: RegExp): (() => Promise<Person>) => {
    let known: Promise<Person> | undefined;
    const begin = async (): Promise<Person> => {
      const person = personOf(wanted);
      await person.logIn();
      return person;
    };
    return () => (known ??= begin());
  };
  const reading = loggedIn(/^GET \/mail\/inbox$/);
  const writing = loggedIn(/^POST \/draft\//);
  let letters = 0;
  return {
    'webmail.read': async () => {
      const person = await reading();
      return timed(() => person.read('/mail/inbox'));
    },
    'webmail.login': async () => {
      const person = personOf(/^POST \/login$/);
      try {
        // So that the connection is there when the form is posted, as a browser's is.
        await person.read('/login');
        return await timed(() => person.logIn());
      } finally {
        person.leave();
      }
    },
    'webmail.send': async () => {
      const person = await writing();
      const subject = `Letter ${++letters}`;
      return timed(() => person.send({ to: [reader.address], subject, body: 'What it costs.' }, () => {}));
    },
  };
}

const calls = subject === 'app' ? appCalls() : webmailCalls();

port.on('message', (operation: string) => {
  const answer = (given: CallerAnswer): void => port.postMessage(given);
  calls[operation]!().then(
    ms => answer({ ms }),
    (error: Error) => answer({ error: error.message }),
  );
});
port.postMessage('ready');
