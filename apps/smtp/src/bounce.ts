// Telling a sender that his message did not arrive (RFC 3464).

import MimeNode from 'nodemailer/lib/mime-node';

export interface Failure {
  readonly domain: string;
  /** Names this bounce, and no other. */
  readonly id: string;
  readonly sender: string;
  readonly recipient: string;
  /** What the other server said last; or what kept us from asking it. */
  readonly reason: string;
  readonly raw: Buffer;
  readonly at: Date;
}

/** Of the original's head, bytes. */
const MAX_HEAD = 32_768;

function oneLine(text: string): string {
  return text
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, 900);
}

/** The RFC 3463 code in the reason, else the general one. */
function statusOf(reason: string): string {
  return /\b[245]\.\d{1,3}\.\d{1,3}\b/.exec(reason)?.[0].replace(/^[24]/, '5') ?? '5.0.0';
}

/** The bounce's bytes; its envelope's sender is empty, so that bounces are never answered by bounces. */
export async function composeBounce(failure: Failure): Promise<Buffer> {
  const { domain, id, sender, recipient, reason, raw, at } = failure;
  const report = new MimeNode('multipart/report; report-type=delivery-status', { baseBoundary: id });
  report.setHeader({
    From: { name: 'Mail delivery', address: `postmaster@${domain}` },
    To: sender,
    Subject: `Not delivered: ${oneLine(recipient)}`,
    'Message-ID': `<${id}@${domain}>`,
    Date: at.toUTCString().replace('GMT', '+0000'),
    'Auto-Submitted': 'auto-replied',
  });
  report
    .createChild('text/plain; charset=utf-8')
    .setContent(
      `Your message could not be delivered to ${oneLine(recipient)}.\n\n` +
        `What the other server said:\n\n    ${oneLine(reason)}\n\n` +
        'Nobody will try again. The head of your message is attached.\n',
    );
  report
    .createChild('message/delivery-status')
    .setContent(
      `Reporting-MTA: dns; ${domain}\r\n\r\nFinal-Recipient: rfc822; ${oneLine(recipient)}\r\n` +
        `Action: failed\r\nStatus: ${statusOf(reason)}\r\nDiagnostic-Code: smtp; ${oneLine(reason)}\r\n`,
    );
  const end = raw.indexOf('\r\n\r\n');
  report
    .createChild('text/rfc822-headers')
    .setContent(raw.subarray(0, Math.min(end < 0 ? raw.length : end + 2, MAX_HEAD)));
  return await report.build();
}
