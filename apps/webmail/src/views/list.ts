import type { Entry, Folder, Page } from '@resplice/mailstore';
import type { DraftPage } from '../store/drafts.ts';
import { type Html, html, type Piece } from '../web/html.ts';
import type { Viewer } from '../web/sessions.ts';
import { csrfField, icon, mailPage } from './layout.ts';
import { nameOf, namesOf, time } from './words.ts';

const titles: Record<Folder, string> = { inbox: 'Inbox', sent: 'Sent', trash: 'Trash' };

const nothing: Record<Folder | 'drafts', readonly [string, string]> = {
  inbox: ['Nothing here', 'New mail appears by itself.'],
  sent: ['Nothing sent yet', 'What you send is kept here.'],
  trash: ['The trash is empty', 'Deleted messages wait here until you delete them for ever.'],
  drafts: ['No drafts', 'What you write is saved while you write it.'],
};

function empty(folder: Folder | 'drafts', search: string): Html {
  const [title, text] =
    search === ''
      ? nothing[folder]
      : ['No match', `Nothing in this folder holds all the words of “${search}”.`];
  return html`<div class="empty">${icon(search === '' ? `${folder}` : 'search')}<h2>${title}</h2><p>${text}</p></div>`;
}

interface PagerOptions {
  readonly path: string;
  readonly search: string;
  readonly page: number;
  readonly pages: number;
  readonly pageSize: number;
  readonly total: number;
}

export function addressOf(path: string, page: number, search: string): string {
  const query = new URLSearchParams();
  if (search !== '') query.set('q', search);
  if (page > 1) query.set('page', String(page));
  return query.size === 0 ? path : `${path}?${query}`;
}

function pager({ path, search, page, pages, pageSize, total }: PagerOptions): Piece {
  if (total === 0) return undefined;
  const first = (page - 1) * pageSize + 1;
  const last = Math.min(total, page * pageSize);
  const way = (label: string, target: number, sign: string, rel: string): Html =>
    target < 1 || target > pages
      ? html`<span class="button quiet off" aria-hidden="true">${icon(sign)}</span>`
      : html`<a class="button quiet" rel="${rel}" href="${addressOf(path, target, search)}" title="${label}">${icon(sign)}<span class="hidden">${label}</span></a>`;
  return html`<nav class="pager" aria-label="Pages"><span>${first}–${last} of ${total.toLocaleString('en-GB')}</span>
    ${way('Newer', page - 1, 'left', 'prev')}${way('Older', page + 1, 'right', 'next')}</nav>`;
}

function row(entry: Entry, folder: Folder, now: Date): Html {
  const { id, seen, subject, addresses, snippet, attachments, state, problem, at } = entry;
  const people = folder === 'sent' ? addresses.to.concat(addresses.cc, addresses.bcc) : addresses.from;
  const who =
    folder === 'sent' ? `To ${namesOf(people)}` : people[0] === undefined ? '(nobody)' : nameOf(people[0]);
  const about = subject || '(no subject)';
  return html`<li class="row${!seen && ' fresh'}">
  <label class="pick"><input type="checkbox" name="id" value="${id}"><span class="hidden">Select “${about}”</span></label>
  <a href="/message/${id}">
    <span class="who">${!seen && html`<span class="hidden">Unread. </span>`}${who}</span>
    <span class="about"><span class="subject">${about}</span>${snippet !== '' && html` <span class="snippet">${snippet}</span>`}</span>
    <span class="marks">${state === 'sending' && html`<span class="tag">Sending…</span>`}${
      problem !== '' && html`<span class="tag bad">Not to everybody</span>`
    }${attachments > 0 && html`<span class="clip" title="With attachments">${icon('clip')}<span class="hidden">With attachments</span></span>`}</span>
    ${time(at, now, 'short')}
  </a>
</li>`;
}

function actions(folder: Folder): Html {
  const button = (action: string, sign: string, label: string): Html =>
    html`<button class="quiet" name="action" value="${action}" title="${label}">${icon(sign)}<span>${label}</span></button>`;
  return html`<div class="actions">
  <label class="pick all" hidden><input type="checkbox" id="all"><span class="hidden">Select all on this page</span></label>
  ${
    folder === 'trash'
      ? [button('restore', 'restore', 'Restore'), button('purge', 'trash', 'Delete for ever')]
      : [
          button('delete', 'trash', 'Delete'),
          folder === 'inbox' && [button('read', 'open', 'Read'), button('unread', 'closed', 'Unread')],
        ]
  }
</div>`;
}

export interface ListPage {
  readonly viewer: Viewer;
  readonly folder: Folder;
  readonly page: Page;
  readonly search: string;
  readonly now: Date;
  readonly notice: string | undefined;
}

export function listPage({ viewer, folder, page, search, now, notice }: ListPage): string {
  const path = `/mail/${folder}`;
  const { entries, total } = page;
  const newest = folder === 'inbox' && search === '' && page.page === 1 ? (entries[0]?.id ?? '0') : undefined;
  const main = html`<div class="head">
  <h1>${search === '' ? titles[folder] : html`Search: <q>${search}</q>`}</h1>
  ${search !== '' && html`<a class="button quiet" href="${path}">${icon('cross')}<span>All of ${titles[folder]}</span></a>`}
  ${
    folder === 'trash' &&
    search === '' &&
    total > 0 &&
    html`<form method="post" action="/mail/trash/empty">${csrfField(viewer)}<button class="quiet danger">${icon('trash')}<span>Empty the trash</span></button></form>`
  }
  ${pager({ path, search, ...page, pageSize: viewer.account.pageSize, total })}
</div>
${newest !== undefined && html`<p class="fresh-mail" data-newest="${newest}" role="status" hidden></p>`}
${
  total === 0
    ? empty(folder, search)
    : html`<form class="list" method="post" action="/mail/${folder}/act">
  ${csrfField(viewer)}
  <input type="hidden" name="back" value="${addressOf(path, page.page, search)}">
  ${actions(folder)}
  <ol class="rows">${entries.map(entry => row(entry, folder, now))}</ol>
</form>`
}`;
  const { unseen } = viewer.counts;
  const title = folder === 'inbox' && unseen > 0 ? `Inbox (${unseen})` : titles[folder];
  return mailPage({
    title,
    viewer,
    place: folder,
    notice,
    search,
    main,
    style: 'list.css',
    script: 'list.js',
  });
}

export interface DraftListPage {
  readonly viewer: Viewer;
  readonly page: DraftPage;
  readonly now: Date;
  readonly notice: string | undefined;
}

export function draftListPage({ viewer, page, now, notice }: DraftListPage): string {
  const path = '/mail/drafts';
  const main = html`<div class="head"><h1>Drafts</h1>${pager({ path, search: '', ...page, pageSize: viewer.account.pageSize })}</div>
${
  page.total === 0
    ? empty('drafts', '')
    : html`<ol class="rows drafts">${page.drafts.map(
        draft => html`<li class="row">
  <a href="/draft/${draft.key}">
    <span class="who">${draft.recipients === '' ? html`<em>To nobody yet</em>` : `To ${draft.recipients}`}</span>
    <span class="about"><span class="subject">${draft.subject || '(no subject)'}</span></span>
    <span class="marks">${draft.problem !== '' && html`<span class="tag bad">Not sent</span>`}${
      draft.files.length > 0 && html`<span class="clip" title="With attachments">${icon('clip')}</span>`
    }</span>
    ${time(draft.at, now, 'short')}
  </a>
</li>`,
      )}</ol>`
}`;
  return mailPage({ title: 'Drafts', viewer, place: 'drafts', notice, main, style: 'list.css' });
}
