// How long a case was in view and which folded parts were opened goes into its log, when the page is left or
// hidden. Nobody is ranked by it: it is for judging later whether a gate was worth its time.
const LEAST_MS = 1_000
const MOST = 50

export function noteAttention(): void {
  const shown = document.querySelector<HTMLElement>('[data-attention]')
  const token = document.querySelector<HTMLInputElement>('input[name="csrf_token"]')?.value
  if (!shown?.dataset.attention || !token) return
  const url = shown.dataset.attention
  const digest = shown.dataset.presented ?? ''
  const opened = new Set<string>()
  let since = document.hidden ? 0 : performance.now()
  let spent = 0

  const count = (): void => {
    if (since) spent += performance.now() - since
    since = 0
  }
  const tell = (): void => {
    count()
    if (spent < LEAST_MS) return
    const names = [...opened].slice(0, MOST).join('\n')
    const told = { csrf_token: token, presented_digest: digest, ms: String(Math.round(spent)), opened: names }
    if (!navigator.sendBeacon(url, new URLSearchParams(told))) return
    spent = 0
    opened.clear()
  }
  document.addEventListener('toggle', (event) => {
    const part = event.target
    if (!(part instanceof HTMLDetailsElement) || !part.open) return
    const name = part.dataset.path ?? part.querySelector('summary')?.textContent ?? ''
    opened.add(name.replace(/\s+/g, ' ').trim().slice(0, 120))
  }, true)
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) tell()
    else since = performance.now()
  })
  addEventListener('pagehide', tell)
}
