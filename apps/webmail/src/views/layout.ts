import { asset } from '../web/assets.ts';
import { type Html, html, type Piece } from '../web/html.ts';
import type { Viewer } from '../web/sessions.ts';

export type Place = 'inbox' | 'drafts' | 'sent' | 'trash' | 'compose' | 'settings';

/** An icon of our own set; decoration only, so whatever it stands in says it in words too. */
export function icon(name: string): Html {
  return html`<svg class="icon" aria-hidden="true" focusable="false"><use href="${asset('icons.svg')}#${name}"></use></svg>`;
}

/** The field that every form of a session carries. */
export function csrfField(viewer: { readonly csrf: string } | undefined): Html {
  return html`<input type="hidden" name="csrf" value="${viewer?.csrf ?? ''}">`;
}

export function notice(text: string | undefined): Piece {
  return text !== undefined && html`<p class="notice" role="status">${icon('check')}<span>${text}</span></p>`;
}

export function alarm(text: string | undefined): Piece {
  return (
    text !== undefined && html`<p class="notice alarm" role="alert">${icon('alert')}<span>${text}</span></p>`
  );
}

export interface PageOptions {
  readonly title: string;
  readonly kind: 'login' | 'mail' | 'plain';
  /** Beside the one of all pages. */
  readonly styles: readonly string[];
  readonly body: Piece;
  readonly script?: string;
}

export function document({ title, kind, styles, body, script }: PageOptions): string {
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${title}</title>
<link rel="icon" href="${asset('favicon.svg')}" type="image/svg+xml">
<link rel="preload" href="/assets/inter.woff2" as="font" type="font/woff2" crossorigin>
<link rel="stylesheet" href="${asset('style.css')}">
${styles.map(
  name => html`<link rel="stylesheet" href="${asset(name)}">
`,
)}${script !== undefined && html`<script type="module" src="${asset(script)}"></script>`}
</head>
<body class="${kind}">
${body}
</body>
</html>
`.text;
}

const places: readonly { place: Place; label: string; href: string }[] = [
  { place: 'inbox', label: 'Inbox', href: '/mail/inbox' },
  { place: 'drafts', label: 'Drafts', href: '/mail/drafts' },
  { place: 'sent', label: 'Sent', href: '/mail/sent' },
  { place: 'trash', label: 'Trash', href: '/mail/trash' },
];

function count(viewer: Viewer, place: Place): Piece {
  const { unseen, drafts } = viewer.counts;
  const [number, what] = place === 'inbox' ? [unseen, 'unread'] : place === 'drafts' ? [drafts, 'open'] : [0];
  return (
    number > 0 &&
    html`<span class="count">${number > 999 ? '999+' : number}<span class="unseen-words"> ${what}</span></span>`
  );
}

export interface MailPage {
  readonly title: string;
  readonly viewer: Viewer;
  readonly place: Place;
  readonly notice?: string | undefined;
  /** What is searched for now. */
  readonly search?: string;
  readonly main: Piece;
  readonly style: string;
  readonly script?: string;
}

/** A page for somebody who is logged in. */
export function mailPage(page: MailPage): string {
  const { title, viewer, place, main, style, script = 'mail.js', search = '' } = page;
  const { account } = viewer;
  const target = place === 'sent' || place === 'trash' ? place : 'inbox';
  const body = html`<a class="skip" href="#main">Skip to the messages</a>
<header class="bar">
  <a class="brand" href="/mail/inbox">${icon('mark')}<span>Resplice <em>Mail</em></span></a>
  <form class="search" role="search" action="/mail/${target}" method="get">
    <label for="q" class="hidden">Search in ${target}</label>
    ${icon('search')}
    <input id="q" name="q" type="search" value="${search}" placeholder="Search ${target}" autocomplete="off" maxlength="200">
    <button class="hidden-until-focus">Search</button>
  </form>
  <div class="who">
    <a class="quiet" href="/settings" title="Settings of ${account.address}"${place === 'settings' && html` aria-current="page"`}>
      <span class="avatar" aria-hidden="true">${initials(account.name || account.address)}</span><span class="who-name">${account.name || account.address}</span><span class="hidden">: settings</span></a>
    <form method="post" action="/logout">${csrfField(viewer)}<button class="quiet" title="Log out">${icon('leave')}<span class="hidden">Log out</span></button></form>
  </div>
</header>
<div class="columns">
  <nav class="places" aria-label="Folders">
    <a class="button main compose-button" href="/compose"${place === 'compose' && html` aria-current="page"`}>${icon('pen')}<span>Write</span></a>
    <ul>
      ${places.map(
        each =>
          html`<li><a href="${each.href}"${each.place === place && html` aria-current="page"`}>${icon(each.place)}<span>${each.label}</span>${count(viewer, each.place)}</a></li>`,
      )}
    </ul>
  </nav>
  <main id="main" tabindex="-1">
    ${notice(page.notice)}
    ${main}
  </main>
</div>`;
  return document({
    title: `${title} · Resplice Mail`,
    kind: 'mail',
    styles: ['mail.css', style],
    body,
    script,
  });
}

export function initials(name: string): string {
  const words = name.match(/[\p{L}\p{N}]+/gu) ?? ['?'];
  return [words[0]!, ...(words.length > 1 && !name.includes('@') ? [words.at(-1)!] : [])]
    .map(word => [...word][0]!.toUpperCase())
    .join('');
}

/** A page that says one thing. */
export function plainPage(title: string, text: string, way: { href: string; label: string }): string {
  const body = html`<main class="sheet" id="main">
  <a class="brand" href="/">${icon('mark')}<span>Resplice <em>Mail</em></span></a>
  <h1>${title}</h1>
  <p>${text}</p>
  <p><a class="button main" href="${way.href}">${way.label}</a></p>
</main>`;
  return document({ title: `${title} · Resplice Mail`, kind: 'plain', styles: [], body });
}
