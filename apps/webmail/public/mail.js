// On every page of somebody who is logged in: times in the reader's own zone.

const now = new Date();
const formats = {
  clock: new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' }),
  day: new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short' }),
  year: new Intl.DateTimeFormat(undefined, { day: 'numeric', month: 'short', year: 'numeric' }),
  long: new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'short' }),
};

function shortTime(at) {
  if (at.toDateString() === now.toDateString()) return formats.clock.format(at);
  return (at.getFullYear() === now.getFullYear() ? formats.day : formats.year).format(at);
}

export function localTimes(root = document) {
  for (const element of root.querySelectorAll('time[data-style]')) {
    const at = new Date(element.dateTime);
    element.title = formats.long.format(at);
    element.textContent = element.dataset.style === 'long' ? formats.long.format(at) : shortTime(at);
  }
}

document.documentElement.classList.add('scripted');
localTimes();

// A notice in the address has been read: reloading the page does not say it again.
const here = new URL(location.href);
if (here.searchParams.has('notice')) {
  here.searchParams.delete('notice');
  here.searchParams.delete('n');
  history.replaceState(history.state, '', here);
}
