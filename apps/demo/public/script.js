/** The download on the page: progress, rate, the longest pause, and whether the bytes were right. */
import { Sha256 } from './sha256.js';

const element = id => document.getElementById(id);
const card = element('download');
const button = element('start');
const progress = element('progress');
const size = Number(card.dataset.size);

const MB = 1e6;
/** Width of one bar of the chart, in milliseconds. */
const BIN_MS = 100;

const megabytes = bytes => `${(bytes / MB).toFixed(1)} MB`;

function verdict(state, text) {
  card.dataset.state = state;
  element('verdict').textContent = text;
}

/** Bytes received in each tenth of a second since the start, drawn as bars; an empty one is a pause. */
function draw(bins) {
  const canvas = element('chart');
  const scale = window.devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * scale;
  canvas.height = canvas.clientHeight * scale;
  const context = canvas.getContext('2d');
  const style = getComputedStyle(canvas);
  const count = Math.max(60, bins.length);
  const step = canvas.width / count;
  const peak = Math.max(1, ...bins);
  context.fillStyle = style.getPropertyValue('--accent');
  bins.forEach((bytes, i) => {
    const height = (bytes / peak) * canvas.height * 0.92;
    context.fillRect(i * step, canvas.height - height, Math.max(1, step - scale), height);
    if (bytes === 0) {
      context.fillStyle = style.getPropertyValue('--alarm');
      context.fillRect(i * step, canvas.height - 3 * scale, Math.max(1, step - scale), 3 * scale);
      context.fillStyle = style.getPropertyValue('--accent');
    }
  });
}

async function download() {
  const hash = new Sha256();
  const bins = [];
  const started = performance.now();
  let last = started;
  let longest = 0;
  let received = 0;

  const show = () => {
    const elapsed = performance.now() - started;
    for (let i = bins.length; i < Math.floor(elapsed / BIN_MS); i++) bins.push(0);
    progress.value = (received / size) * 100;
    element('received').textContent = megabytes(received);
    element('rate').textContent = `${(received / MB / (elapsed / 1000)).toFixed(0)} MB/s`;
    element('pause').textContent = `${Math.round(Math.max(longest, performance.now() - last))} ms`;
    draw(bins);
  };
  const timer = setInterval(show, BIN_MS);
  try {
    const response = await fetch('/100mb.bin', { cache: 'no-store' });
    if (!response.ok) throw new Error(`HTTP status ${response.status}`);
    const reader = response.body.getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const now = performance.now();
      longest = Math.max(longest, now - last);
      received += value.length;
      const bin = Math.floor((now - started) / BIN_MS);
      for (let i = bins.length; i <= bin; i++) bins.push(0);
      bins[bin] += value.length;
      hash.update(value);
      // Hashing is our time, not the network's.
      last = performance.now();
    }
    last = performance.now();
    show();
    if (received !== size) throw new Error(`${received} bytes came instead of ${size}`);
    if (hash.digest() !== card.dataset.sha256) throw new Error('the hash is wrong');
    verdict('right', 'every byte is right');
  } catch (error) {
    verdict('wrong', `broken: ${error.message}`);
  } finally {
    clearInterval(timer);
  }
}

button.addEventListener('click', async () => {
  button.disabled = true;
  verdict('running', 'receiving …');
  await download();
  button.disabled = false;
  button.textContent = 'Once more';
});

try {
  const { backend, client } = await (await fetch('/whoami', { cache: 'no-store' })).json();
  element('served').textContent = `answered by ${backend} · you are ${client.address}:${client.port}`;
} catch {
  // The page is complete without it.
}
draw([]);
