export { MAX_MESSAGE, type SmtpOptions, SmtpService } from './server.ts';
