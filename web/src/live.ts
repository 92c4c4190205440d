// Whether the page hears of changes. Without a word here a reader takes an old page for a new one.
function say(state: 'on' | 'off'): void {
  const mark = document.querySelector<HTMLElement>('#live')
  if (mark === null) return
  mark.hidden = false
  mark.dataset.state = state
  mark.textContent = state === 'on' ? 'live' : 'not live: trying again'
}

export function showConnection(): void {
  document.addEventListener('htmx:sse:after:connection', () => say('on'))
  document.addEventListener('htmx:sse:error', () => say('off'))
}
