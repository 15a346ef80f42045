// Settings of the back end's kernel that splicing depends on (ARCHITECTURE section 2).

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Log } from '@resplice/service-kit';

const SETTINGS: readonly { name: string; value: string; why: string }[] = [
  {
    name: 'net/ipv4/tcp_syncookies',
    value: '0',
    why: 'a cookie SYN-ACK lacks window scale and SACK, and proxies reject it',
  },
  {
    name: 'net/ipv4/tcp_invalid_ratelimit',
    value: '0',
    why: 'repeated SYNs within 500 ms would go unanswered',
  },
  {
    name: 'net/ipv4/tcp_no_metrics_save',
    value: '0',
    why: 'the first response to a client that was here before, if it is lost, would be sent again only after 1 s',
  },
];

/** Sets what is not set yet. What cannot be set is worth a warning, not a refusal: connections still work mostly. */
export function applyKernelSettings(log: Log, root = '/proc/sys'): void {
  for (const { name, value, why } of SETTINGS) {
    const file = join(root, name);
    try {
      if (readFileSync(file, 'utf8').trim() === value) continue;
      writeFileSync(file, value);
      log.info({ setting: name, value }, 'kernel setting changed');
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      log.warn({ setting: name, value, code }, `kernel setting cannot be changed: ${why}`);
    }
  }
}
