// Times that stand on a page grow older with it, in the words the server uses, by the server's clock.
// `time[data-ago]` says how long ago, `[data-until]` counts down to a moment and then says `data-over`.
const UNITS: [limit: number, unit: number, word: string][] = [
  [60, 1, 's'],
  [3_600, 60, 'min'],
  [172_800, 3_600, 'h'],
  [Infinity, 86_400, 'days'],
]
let skew = 0

function now(): number {
  return Date.now() - skew
}

function length(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  for (const [limit, unit, word] of UNITS) if (whole < limit) return `${Math.floor(whole / unit)} ${word}`
  return ''
}

function ago(then: number): string {
  const seconds = (now() - then) / 1000
  return seconds < 0 ? `in ${length(-seconds)}` : `${length(seconds)} ago`
}

function left(then: number): string {
  const seconds = Math.max(0, Math.round((then - now()) / 1000))
  if (seconds >= 3_600) return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

function write(target: HTMLElement, words: string): void {
  if (target.textContent !== words) target.textContent = words
}

export function showTimes(root: ParentNode = document): void {
  for (const time of root.querySelectorAll<HTMLTimeElement>('time[data-ago]')) {
    const then = Date.parse(time.dateTime)
    if (!Number.isNaN(then)) write(time, ago(then))
  }
  for (const clock of root.querySelectorAll<HTMLElement>('[data-until]')) {
    const then = Date.parse(clock.dataset.until ?? '')
    if (Number.isNaN(then)) continue
    const over = then <= now()
    write(clock, over ? (clock.dataset.over ?? '') : `${left(then)} left`)
    if (over) clock.closest('[data-while]')?.setAttribute('hidden', '')
  }
}

export function keepTimes(): void {
  const rendered = Date.parse(document.body.dataset.now ?? '')
  if (!Number.isNaN(rendered)) skew = Date.now() - rendered
  setInterval(() => {
    if (document.visibilityState === 'visible') showTimes()
  }, 1000)
}
