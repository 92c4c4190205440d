// Keyboard: `data-key` names the key of a button or link, j and k move through the rows of the inbox,
// ? lists the keys of the page. Nothing happens while someone types, and a key held down acts once.
import { toggleHelp } from './help'

// What one types into. A box that is ticked is not.
const TYPING = 'input:not([type="checkbox"]), textarea, select, [contenteditable]'
// What j and k go through: the rows of the list on this page.
const ROWS = '#rows a, #rows summary'

function isTyping(event: KeyboardEvent): boolean {
  return event.target instanceof Element && event.target.closest(TYPING) !== null
}

function move(step: 1 | -1): void {
  const rows = [...document.querySelectorAll<HTMLElement>(ROWS)].filter((row) => row.checkVisibility())
  const at = rows.findIndex((row) => row === document.activeElement)
  const next = at === -1 ? 0 : Math.min(Math.max(at + step, 0), rows.length - 1)
  rows[next]?.focus()
}

function press(key: string): boolean {
  const target = document.querySelector<HTMLElement>(`[data-key="${CSS.escape(key)}"]`)
  if (target === null || target.matches(':disabled, [aria-disabled="true"]')) return false
  // A button out of sight is not what the reader means to press.
  if (!target.checkVisibility()) return false
  if (target.matches(TYPING)) target.focus()
  else target.click()
  return true
}

function act(key: string): boolean {
  if (key === '?') return toggleHelp()
  if (document.querySelector('dialog[open]') !== null) return false
  if (key === 'j' || key === 'k') {
    move(key === 'j' ? 1 : -1)
    return true
  }
  return press(key)
}

export function listenForKeys(): void {
  addEventListener('keydown', (event) => {
    const modified = event.metaKey || event.ctrlKey || event.altKey || event.isComposing
    if (event.defaultPrevented || event.repeat || modified || isTyping(event)) return
    if (act(event.key)) event.preventDefault()
  })
}
