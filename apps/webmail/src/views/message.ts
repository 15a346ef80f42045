import type { Entry, Mail, Neighbours, Person } from '@resplice/mailstore';
import { type Html, html, type Piece } from '../web/html.ts';
import type { Viewer } from '../web/sessions.ts';
import { csrfField, icon, initials, mailPage } from './layout.ts';
import { prose } from './prose.ts';
import { nameOf, size, time } from './words.ts';

export interface MessagePage {
  readonly viewer: Viewer;
  readonly entry: Entry;
  readonly mail: Mail;
  readonly beside: Neighbours;
  /** The HTML's own frame; undefined: plain text. */
  readonly frame: { readonly blocked: number; readonly images: boolean; readonly isCut: boolean } | undefined;
  readonly now: Date;
  readonly notice: string | undefined;
}

function person({ name, address }: Person): Html {
  return html`<span class="person">${name !== '' && html`<b>${name}</b> `}<span class="address">${address}</span></span>`;
}

function line(label: string, people: readonly Person[]): Piece {
  return (
    people.length > 0 &&
    html`<div><dt>${label}</dt><dd>${people.map((each, i) => [i > 0 && ', ', person(each)])}</dd></div>`
  );
}

function act(page: MessagePage, action: string, sign: string, label: string): Html {
  const { viewer, entry } = page;
  return html`<form method="post" action="/mail/${entry.folder}/act">${csrfField(viewer)}<input type="hidden" name="id" value="${entry.id}"><input type="hidden" name="back" value="/mail/${entry.folder}"><button class="quiet" name="action" value="${action}" title="${label}">${icon(sign)}<span>${label}</span></button></form>`;
}

function toolbar(page: MessagePage): Html {
  const { entry, beside } = page;
  const way = (id: string | undefined, sign: string, label: string, rel: string): Html =>
    id === undefined
      ? html`<span class="button quiet off" aria-hidden="true">${icon(sign)}</span>`
      : html`<a class="button quiet" rel="${rel}" href="/message/${id}" title="${label}">${icon(sign)}<span class="hidden">${label}</span></a>`;
  return html`<div class="toolbar">
  <a class="button quiet" href="/mail/${entry.folder}" title="Back to the list">${icon('back')}<span>${entry.folder[0]!.toUpperCase() + entry.folder.slice(1)}</span></a>
  <span class="grow"></span>
  ${
    entry.folder === 'trash'
      ? [act(page, 'restore', 'restore', 'Restore'), act(page, 'purge', 'trash', 'Delete for ever')]
      : entry.state === 'here' && [
          entry.folder === 'inbox' && act(page, 'unread', 'closed', 'Unread'),
          act(page, 'delete', 'trash', 'Delete'),
        ]
  }
  <span class="pair">${way(beside.newer, 'left', 'Newer message', 'prev')}${way(beside.older, 'right', 'Older message', 'next')}</span>
</div>`;
}

function body(page: MessagePage): Piece {
  const { entry, mail, frame } = page;
  if (frame === undefined) {
    return mail.text.trim() === '' ? html`<p class="faint">This message has no text.</p>` : prose(mail.text);
  }
  const query = frame.images ? '?images=1' : '';
  return html`${
    frame.isCut &&
    html`<p class="notice">${icon('alert')}<span>This message is very long: only its beginning is shown. All of it is in its source.</span></p>`
  }${
    frame.blocked > 0 &&
    html`<p class="notice shut">${icon('eye')}<span>Pictures from elsewhere are not shown: they would tell their sender that you read this.</span>
    <a class="button" href="/message/${entry.id}?images=1">Show them</a></p>`
  }<iframe class="letter" title="The message" src="/message/${entry.id}/body${query}" sandbox="allow-same-origin allow-popups allow-popups-to-escape-sandbox" referrerpolicy="no-referrer"></iframe>`;
}

export function messagePage(page: MessagePage): string {
  const { viewer, entry, mail, now, notice } = page;
  const { from, to, cc } = mail.addresses;
  const author = from[0] ?? { name: '', address: '' };
  const files = mail.files.map((file, index) => ({ file, index })).filter(({ file }) => !file.embedded);
  const main = html`${toolbar(page)}
<article class="message">
  <h1>${mail.subject || '(no subject)'}</h1>
  ${entry.state === 'sending' && html`<p class="notice">${icon('sent')}<span>This message is on its way. Its delivery is not confirmed yet.</span></p>`}
  ${entry.problem !== '' && html`<div class="notice alarm">${icon('alert')}<span class="lines">${entry.problem}</span></div>`}
  ${mail.defect !== undefined && html`<p class="notice alarm">${icon('alert')}<span>This message is damaged: it is shown as it came.</span></p>`}
  <header>
    <span class="avatar big" aria-hidden="true">${initials(nameOf(author))}</span>
    <dl>
      <div class="from"><dt class="hidden">From</dt><dd>${from.length === 0 ? '(nobody)' : from.map(person)}</dd></div>
      ${line('To', to)}${line('Cc', cc)}${line('Bcc', entry.addresses.bcc)}
    </dl>
    ${time(entry.at, now, 'long')}
  </header>
  ${body(page)}
  ${
    files.length > 0 &&
    html`<section class="files" aria-label="Attachments"><ul>${files.map(
      ({ file, index }) =>
        html`<li><a href="/message/${entry.id}/file/${index}" download>${icon('clip')}<span><b>${file.name || 'without a name'}</b> <small>${size(file.content.length)}</small></span></a></li>`,
    )}</ul></section>`
  }
  <footer>
    <a class="button main" href="/compose?reply=${entry.id}">${icon('reply')}<span>Reply</span></a>
    ${to.length + cc.length > 1 && html`<a class="button" href="/compose?all=${entry.id}">${icon('all')}<span>Reply to all</span></a>`}
    <a class="button" href="/compose?forward=${entry.id}">${icon('forward')}<span>Forward</span></a>
    <span class="grow"></span>
    <a class="faint" href="/message/${entry.id}/source">Source</a>
  </footer>
</article>`;
  return mailPage({
    title: mail.subject || '(no subject)',
    viewer,
    place: entry.folder,
    notice,
    main,
    style: 'message.css',
    script: 'message.js',
  });
}
