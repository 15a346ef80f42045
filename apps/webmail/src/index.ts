export { buildWebmail, type WebmailOptions } from './app.ts';
