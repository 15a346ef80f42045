// Writing: saved while one writes, files sent at once, nothing lost by closing the page.

import './mail.js';

const form = document.querySelector('#compose');
const state = document.querySelector('#state');
const edition = form.elements.namedItem('edition');
const picker = form.querySelector('input[type="file"]');
const attached = document.querySelector('#attached');

/** After the last key, milliseconds. */
const PAUSE_MS = 1200;
/** After a save that failed, milliseconds. */
const RETRY_MS = 4000;

let timer;
let saving;
/** Files that are chosen and not known to be saved. */
let pending = [];
let unsaved = false;
let leaving = false;

function say(text, bad = false) {
  state.textContent = text;
  state.classList.toggle('bad', bad);
}

function wanted() {
  const data = new FormData(form);
  data.delete('file');
  return data;
}

function fileItem({ id, name, size }) {
  const item = document.createElement('li');
  const label = document.createElement('span');
  const title = document.createElement('b');
  title.textContent = name;
  const small = document.createElement('small');
  small.textContent =
    size < 1e6 ? ` ${Math.max(1, Math.round(size / 1000))} kB` : ` ${(size / 1e6).toFixed(1)} MB`;
  label.append(title, small);
  const remove = document.createElement('button');
  remove.name = 'remove';
  remove.value = id;
  remove.className = 'quiet';
  remove.textContent = 'Remove';
  remove.setAttribute('aria-label', `Remove ${name}`);
  item.append(label, remove);
  return item;
}

const failures = {
  loggedOut: 'You are logged out. Log in in another tab, then go on here.',
  staleForm: 'This page is from another session. Save once with the button.',
  stale: 'This draft was changed in another window. Press Save to keep this version too.',
  closed: 'This message was sent or discarded in another window.',
};

/** One save at a time: the newest text goes last, and what could not be attached before goes with it. */
async function save() {
  clearTimeout(timer);
  await saving;
  const data = wanted();
  const files = pending;
  for (const file of files) data.append('file', file, file.name);
  const settle = () => {
    pending = pending.filter(file => !files.includes(file));
  };
  unsaved = false;
  say(files.length > 0 ? 'Attaching…' : 'Saving…');
  saving = fetch(form.dataset.autosave, { method: 'POST', body: data })
    .then(async response => {
      const answer = await response.json();
      if (answer.kind === 'saved') {
        settle();
        edition.value = String(answer.edition + 1);
        form.elements.namedItem('forwards')?.remove();
        attached.replaceChildren(...answer.files.map(fileItem));
        say('Saved');
        history.replaceState(null, '', form.getAttribute('action'));
        return;
      }
      if (answer.kind === 'full') {
        // The text is saved; these files never will be.
        settle();
        edition.value = String(answer.edition + 1);
        say(answer.problem, true);
        return;
      }
      say(answer.problem ?? failures[answer.kind] ?? 'Not saved.', true);
      if (answer.kind !== 'closed') unsaved = true;
    })
    .catch(() => {
      unsaved = true;
      say('Not saved yet: no answer. Trying again…', true);
      timer = setTimeout(save, RETRY_MS);
    })
    .finally(() => {
      saving = undefined;
    });
  await saving;
}

function later() {
  unsaved = true;
  clearTimeout(timer);
  timer = setTimeout(save, PAUSE_MS);
}

form.addEventListener('input', event => {
  if (event.target !== picker) later();
});

picker.addEventListener('change', async () => {
  const files = [...picker.files];
  picker.value = '';
  if (files.length === 0) return;
  const size = files.reduce((sum, file) => sum + file.size, 0);
  if (size > Number(form.dataset.limit)) {
    say(`That is more than ${Number(form.dataset.limit) / 1e6} MB.`, true);
    return;
  }
  pending = [...pending, ...files];
  await save();
});

// The button's own save comes after the one that is under way, and one press is enough.
form.addEventListener('submit', event => {
  if (leaving) {
    event.preventDefault();
    return;
  }
  clearTimeout(timer);
  leaving = true;
  if (event.submitter?.value === 'send') say('Sending…');
  if (saving === undefined) {
    // What could not be attached yet goes with the form itself.
    const files = new DataTransfer();
    for (const file of pending) files.items.add(file);
    picker.files = files.files;
    return;
  }
  event.preventDefault();
  const submitter = event.submitter;
  saving.finally(() => {
    leaving = false;
    form.requestSubmit(submitter);
  });
});
// Back from another page by the browser's own button.
addEventListener('pageshow', () => {
  leaving = false;
});

form.addEventListener('keydown', event => {
  if (event.key !== 'Enter' || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  form.requestSubmit(form.querySelector('button[value="send"]'));
});

addEventListener('beforeunload', event => {
  if (unsaved && !leaving) event.preventDefault();
});
