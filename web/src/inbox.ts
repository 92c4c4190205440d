// An open inbox: what was decided says so in its own row, what is new is announced. Rows never move by
// themselves; a list that was empty fills up, because nothing there can slip from under a pointer.
import { showTimes } from './times'

interface News {
  handoff_id: string
  waiting: boolean
  says: string
  at: string
}

const fresh = new Set<string>()

function read(event: Event): News | null {
  const detail: unknown = (event as CustomEvent).detail
  const data = typeof detail === 'object' && detail !== null && 'data' in detail ? detail.data : null
  if (typeof data !== 'string') return null
  try {
    return JSON.parse(data) as News
  } catch {
    return null
  }
}

function rowOf(id: string): HTMLElement | null {
  return document.querySelector<HTMLElement>(`#rows [data-case="${CSS.escape(id)}"]`)
}

// Words of the server become text, never markup.
function mark(row: HTMLElement, news: News): void {
  const line = row.querySelector<HTMLElement>('.row-live')
  if (line === null) return
  line.textContent = news.says
  if (news.at !== '') {
    const time = document.createElement('time')
    time.dateTime = news.at
    time.dataset.ago = ''
    line.append(', ', time)
    showTimes(line)
  }
  row.classList.toggle('over', !news.waiting)
  for (const box of row.querySelectorAll<HTMLInputElement>('input[type="checkbox"]')) {
    box.disabled = !news.waiting
    if (!news.waiting) box.checked = false
  }
}

function announce(): void {
  const button = document.querySelector<HTMLButtonElement>('#news')
  const said = document.querySelector<HTMLElement>('#news-said')
  if (button === null || said === null) return
  button.hidden = fresh.size === 0
  const words = fresh.size === 1 ? '1 new case' : `${fresh.size} new cases`
  button.textContent = fresh.size === 0 ? '' : `Show ${words}`
  said.textContent = fresh.size === 0 ? '' : `${words} waiting`
  if (fresh.size > 0 && document.querySelector('#rows[data-fill]') !== null) button.click()
}

function take(event: Event): void {
  const news = read(event)
  if (news === null || document.querySelector('#news') === null) return
  const row = rowOf(news.handoff_id)
  if (row !== null) mark(row, news)
  else if (news.waiting) fresh.add(news.handoff_id)
  else fresh.delete(news.handoff_id)
  announce()
}

function shown(): void {
  for (const id of [...fresh]) if (rowOf(id) !== null) fresh.delete(id)
  if (document.querySelector('#rows [data-case]') !== null) {
    document.querySelector('#rows')?.removeAttribute('data-fill')
    fresh.clear()
  }
  announce()
}

export function followInbox(): void {
  document.addEventListener('handoff', take)
  document.addEventListener('htmx:after:swap', shown)
}
