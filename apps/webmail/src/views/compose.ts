import type { DraftFields, DraftFile } from '../store/drafts.ts';
import { html, type Piece } from '../web/html.ts';
import type { Viewer } from '../web/sessions.ts';
import { alarm, csrfField, document, icon, mailPage } from './layout.ts';
import { size } from './words.ts';

export interface ComposePage {
  /** Undefined: nobody can be told apart now, since the session ended or the database is away. */
  readonly viewer: Viewer | undefined;
  /** This session's, as far as there is one. */
  readonly csrf: string;
  readonly key: string;
  readonly edition: number;
  readonly fields: DraftFields;
  readonly files: readonly DraftFile[];
  /** Message whose files come along at the first save. */
  readonly forwards?: { readonly id: string; readonly names: readonly string[] } | undefined;
  readonly problem?: string | undefined;
  /** A way to log in again beside this page. */
  readonly login?: boolean;
  readonly notice?: string | undefined;
  readonly isNew: boolean;
}

function attachments({ files, forwards }: ComposePage): Piece {
  const all = [
    ...files.map(
      ({ id, name, size: bytes }) =>
        html`<li>${icon('clip')}<span><b>${name}</b> <small>${size(bytes)}</small></span><button class="quiet" name="remove" value="${id}" title="Remove ${name}">${icon('cross')}<span class="hidden">Remove ${name}</span></button></li>`,
    ),
    ...(forwards?.names ?? []).map(
      name =>
        html`<li>${icon('clip')}<span><b>${name || 'without a name'}</b> <small>forwarded</small></span></li>`,
    ),
  ];
  return html`<ul class="attached" id="attached">${all}</ul>`;
}

function form(page: ComposePage): Piece {
  const { fields, key, edition, csrf, forwards } = page;
  const row = (id: keyof DraftFields, label: string, focus = false): Piece =>
    html`<div class="field"><label for="${id}">${label}</label><input id="${id}" name="${id}" value="${fields[id]}" maxlength="20000" autocomplete="off" autocapitalize="none" spellcheck="${id === 'subject' ? 'true' : 'false'}"${focus && html` autofocus`}></div>`;
  const more = fields.cc !== '' || fields.bcc !== '';
  const isReply = fields.inReplyTo !== '';
  return html`<form class="compose" id="compose" method="post" action="/draft/${key}" enctype="multipart/form-data" data-autosave="/draft/${key}/autosave" data-limit="25000000">
  ${csrfField({ csrf })}
  <input type="hidden" name="edition" value="${edition}">
  <input type="hidden" name="inReplyTo" value="${fields.inReplyTo}">
  <input type="hidden" name="references" value="${fields.references}">
  ${forwards !== undefined && html`<input type="hidden" name="forwards" value="${forwards.id}">`}
  <button class="hidden" name="action" value="save" tabindex="-1" aria-hidden="true">Save</button>
  ${row('recipients', 'To', page.isNew && !isReply)}
  <details class="more"${more && html` open`}><summary>Cc and Bcc</summary>${row('cc', 'Cc')}${row('bcc', 'Bcc')}</details>
  ${row('subject', 'Subject')}
  <label for="body" class="hidden">Message</label>
  <textarea id="body" name="body" rows="16" maxlength="1000000"${page.isNew && isReply && html` autofocus`}>
${fields.body}</textarea>
  ${attachments(page)}
  <div class="below">
    <button class="button main" name="action" value="send">${icon('send')}<span>Send</span></button>
    <label class="button file"><input type="file" name="file" multiple>${icon('clip')}<span>Attach files</span></label>
    <button class="button" name="action" value="save">${icon('drafts')}<span>Save draft</span></button>
    <span class="grow"></span>
    <span class="state" id="state" role="status"></span>
    <button class="quiet danger" name="action" value="discard" title="Discard">${icon('trash')}<span>Discard</span></button>
  </div>
</form>`;
}

export function composePage(page: ComposePage): string {
  const title = page.isNew ? 'New message' : 'Draft';
  const problem = alarm(page.problem);
  const login =
    page.login === true &&
    html`<p><a class="button" href="/login" target="_blank">Log in in another tab</a></p>`;
  if (page.viewer === undefined) {
    const body = html`<main class="sheet wide" id="main"><p class="brand">${icon('mark')}<span>Resplice <em>Mail</em></span></p><h1>${title}</h1>${problem}${login}${form(page)}</main>`;
    return document({ title: `${title} · Resplice Mail`, kind: 'plain', styles: ['compose.css'], body });
  }
  const main = html`<div class="head"><h1>${title}</h1></div>${problem}${form(page)}`;
  return mailPage({
    title,
    viewer: page.viewer,
    place: 'compose',
    notice: page.notice,
    main,
    style: 'compose.css',
    script: 'compose.js',
  });
}
