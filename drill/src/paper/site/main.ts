/** The webmail as it is, with the drill's instrument at its HTTP server: started in its place, with its environment. */
import http from 'node:http';
import { instrument } from '../instrument.ts';

const create = http.createServer;
http.createServer = ((...given: Parameters<typeof create>) => {
  const server = create(...given);
  instrument(server);
  return server;
}) as typeof create;

await import('../../../../apps/webmail/src/main.ts');
