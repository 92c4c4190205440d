// The list of keys, made from what the page offers. Styles belong to the page's sheet (`dialog.keys`):
// the content security policy allows no others.
function entries(): [key: string, meaning: string][] {
  const found: [string, string][] = []
  if (document.querySelector('#rows a, #rows summary') !== null) {
    found.push(['j', 'next row'], ['k', 'previous row'], ['Enter', 'open'])
  }
  for (const target of document.querySelectorAll<HTMLElement>('[data-key]')) {
    const key = target.dataset.key ?? ''
    const meaning = target.getAttribute('aria-label') ?? labelOf(target) ?? wording(target)
    if (key !== '' && target.checkVisibility()) found.push([key, meaning])
  }
  found.push(['?', 'show or hide this list'])
  return found
}

// What a field is called.
function labelOf(target: HTMLElement): string | null {
  const label = target instanceof HTMLInputElement ? target.labels?.[0] : undefined
  return label === undefined ? null : `go to: ${wording(label)}`
}

// The text of a button without its own key hint.
function wording(target: HTMLElement): string {
  const copy = target.cloneNode(true) as HTMLElement
  for (const hint of copy.querySelectorAll('kbd')) hint.remove()
  return (copy.textContent ?? '').trim()
}

function build(): HTMLDialogElement {
  const dialog = document.createElement('dialog')
  dialog.className = 'keys'
  dialog.setAttribute('aria-label', 'Keys')
  const list = document.createElement('dl')
  for (const [key, meaning] of entries()) {
    const term = document.createElement('dt')
    const hint = document.createElement('kbd')
    hint.textContent = key
    term.append(hint)
    const description = document.createElement('dd')
    description.textContent = meaning
    list.append(term, description)
  }
  dialog.append(list)
  dialog.addEventListener('close', () => dialog.remove())
  return dialog
}

export function toggleHelp(): boolean {
  const open = document.querySelector<HTMLDialogElement>('dialog.keys')
  if (open !== null) {
    open.close()
    return true
  }
  if (document.querySelector('dialog[open]') !== null) return false
  const dialog = build()
  document.body.append(dialog)
  dialog.showModal()
  return true
}

export function offerHelp(): void {
  document.querySelector('#keys-button')?.addEventListener('click', () => toggleHelp())
}
