import { asset } from '../web/assets.ts';
import { html } from '../web/html.ts';
import { alarm, document, icon, notice } from './layout.ts';

export interface LoginPage {
  readonly address?: string;
  /** Where to go afterwards. */
  readonly next: string;
  readonly problem?: string | undefined;
  readonly notice?: string | undefined;
}

export function loginPage({ address = '', next, problem, notice: said }: LoginPage): string {
  const body = html`<div class="door">
  <main class="card" id="main">
    <p class="brand">${icon('mark')}<span>Resplice <em>Mail</em></span></p>
    <h1>Good to see you.</h1>
    <p class="lead">Log in to read and write your mail.</p>
    ${alarm(problem)}${notice(said)}
    <form method="post" action="/login">
      <input type="hidden" name="next" value="${next}">
      <label for="address">E-mail address</label>
      <input id="address" name="address" type="email" value="${address}" autocomplete="username" autocapitalize="none" spellcheck="false" required maxlength="320"${address === '' && html` autofocus`}>
      <label for="password">Password</label>
      <input id="password" name="password" type="password" autocomplete="current-password" required maxlength="256"${address !== '' && html` autofocus`}>
      <button class="button main wide">Log in</button>
    </form>
    <ul class="promises">
      <li>${icon('drafts')}<span>What you write is saved while you write it.</span></li>
      <li>${icon('once')}<span>A message is sent once. Exactly once.</span></li>
      <li>${icon('eye')}<span>No trackers: pictures from elsewhere stay out until you ask.</span></li>
    </ul>
  </main>
  <div class="view" aria-hidden="true">
    <picture>
      <source media="(prefers-color-scheme: dark)" srcset="${asset('valley-night.svg')}">
      <img src="${asset('valley.svg')}" alt="" width="1200" height="1400">
    </picture>
  </div>
</div>`;
  return document({ title: 'Log in · Resplice Mail', kind: 'login', styles: ['login.css'], body });
}
