// A message's frame is as high as what is in it.

import './mail.js';

const frame = document.querySelector('.letter');

function fit() {
  const page = frame.contentDocument?.documentElement;
  if (page === null || page === undefined) return;
  frame.style.height = 'auto';
  frame.style.height = `${Math.max(120, Math.ceil(page.getBoundingClientRect().height) + 2)}px`;
}

if (frame !== null) {
  const watch = () => {
    fit();
    const body = frame.contentDocument?.body;
    // Pictures come later, and the window changes.
    if (body) new ResizeObserver(fit).observe(body);
  };
  frame.addEventListener('load', watch);
  if (frame.contentDocument?.readyState === 'complete') watch();
}
