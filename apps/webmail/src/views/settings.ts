import { MIN_PASSWORD } from '@resplice/mailstore';
import { html } from '../web/html.ts';
import type { Viewer } from '../web/sessions.ts';
import { alarm, csrfField, mailPage } from './layout.ts';

export interface SettingsPage {
  readonly viewer: Viewer;
  readonly problem?: string | undefined;
  readonly notice?: string | undefined;
}

export function settingsPage({ viewer, problem, notice }: SettingsPage): string {
  const { account } = viewer;
  const sizes = [25, 50, 100, 200];
  const main = html`<div class="head"><h1>Settings</h1></div>
${alarm(problem)}
<div class="panels">
<form class="panel" method="post" action="/settings">
  ${csrfField(viewer)}
  <h2>You</h2>
  <p class="faint">${account.address}</p>
  <label for="name">Name, as others see it</label>
  <input id="name" name="name" value="${account.name}" maxlength="100" autocomplete="name" required>
  <label for="signature">Signature</label>
  <textarea id="signature" name="signature" rows="4" maxlength="2000">
${account.signature}</textarea>
  <label for="pageSize">Messages on a page</label>
  <select id="pageSize" name="pageSize">${sizes.map(
    each => html`<option${each === account.pageSize && html` selected`}>${each}</option>`,
  )}</select>
  <button class="button main">Save</button>
</form>
<form class="panel" method="post" action="/settings/password">
  ${csrfField(viewer)}
  <h2>Password</h2>
  <p class="faint">Changing it ends all your other sessions.</p>
  <input type="text" name="username" value="${account.address}" autocomplete="username" hidden readonly>
  <label for="current">Password now</label>
  <input id="current" name="current" type="password" autocomplete="current-password" required maxlength="256">
  <label for="wanted">New password, at least ${MIN_PASSWORD} characters</label>
  <input id="wanted" name="wanted" type="password" autocomplete="new-password" required minlength="${MIN_PASSWORD}" maxlength="256">
  <label for="again">The new one again</label>
  <input id="again" name="again" type="password" autocomplete="new-password" required maxlength="256">
  <button class="button">Change password</button>
</form>
<section class="panel">
  <h2>Keys</h2>
  <dl class="keys">
    <div><dt><kbd>j</kbd> <kbd>k</kbd></dt><dd>next and previous message of a list</dd></div>
    <div><dt><kbd>x</kbd></dt><dd>select it</dd></div>
    <div><dt><kbd>Ctrl</kbd> <kbd>Enter</kbd></dt><dd>send what you are writing</dd></div>
  </dl>
  <p class="faint">Letters work while the list has the focus, so that they are in nobody’s way.</p>
</section>
</div>`;
  return mailPage({ title: 'Settings', viewer, place: 'settings', notice, main, style: 'settings.css' });
}
