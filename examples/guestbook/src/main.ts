/** `PORT=8080 BOOK=directory SESSION_SECRET=… node examples/guestbook/src/main.ts` */
import { buildGuestbook } from './app.ts';

const { PORT = '8080', BOOK = 'guestbook', SESSION_SECRET = '' } = process.env;
const app = await buildGuestbook({ book: BOOK, secret: SESSION_SECRET });
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => void app.close().then(() => process.exit(0)));
}
await app.listen({ host: '0.0.0.0', port: Number(PORT) });
