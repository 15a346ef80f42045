// A list of messages: all at once, by keys, and word of new mail.

import './mail.js';

const form = document.querySelector('.list');
const boxes = form === null ? [] : [...form.querySelectorAll('.row input[type="checkbox"]')];
const all = document.querySelector('#all');

function showAll() {
  const chosen = boxes.filter(box => box.checked).length;
  all.checked = chosen > 0 && chosen === boxes.length;
  all.indeterminate = chosen > 0 && chosen < boxes.length;
}

if (all !== null && boxes.length > 0) {
  all.closest('.pick').hidden = false;
  all.addEventListener('change', () => {
    for (const box of boxes) box.checked = all.checked;
  });
  form.addEventListener('change', showAll);
  showAll();
}

// Keys while the list has the focus, so that they are in nobody's way.
const rows = [...document.querySelectorAll('.row > a')];
document.querySelector('.rows')?.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const row = event.target.closest('.row');
  const at = rows.findIndex(link => link.parentElement === row);
  if (event.key === 'j') rows[at + 1]?.focus();
  else if (event.key === 'k') rows[at - 1]?.focus();
  else if (event.key === 'x') row.querySelector('input[type="checkbox"]')?.click();
  else return;
  event.preventDefault();
});

// New mail: said, not pushed in under the reader's finger.
const LOOK_MS = 20_000;
const word = document.querySelector('.fresh-mail');

async function look() {
  if (document.visibilityState !== 'visible') return;
  const response = await fetch('/mail/inbox/newest', { headers: { accept: 'application/json' } });
  // Logged out elsewhere: the next click says so.
  if (!response.ok || response.redirected) return;
  const { newest, unseen } = await response.json();
  if (newest === word.dataset.newest || unseen === 0) return;
  const link = document.createElement('a');
  link.href = '/mail/inbox';
  link.className = 'button main';
  link.textContent = 'New mail: show it';
  word.replaceChildren(link);
  word.hidden = false;
  document.title = `Inbox (${unseen}) · Resplice Mail`;
}

if (word !== null) {
  const quietly = () => look().catch(() => {});
  setInterval(quietly, LOOK_MS);
  document.addEventListener('visibilitychange', quietly);
}
