// A half-typed reason survives a reload and a live update of the page. It stays in this tab
// (sessionStorage) and is gone when the tab closes. The server renders `data-draft` with a key that is
// unique to the handoff and the field, so a text never turns up under another question.
const PREFIX = 'handfast.draft.'

function isDraft(node: EventTarget | null): node is HTMLTextAreaElement {
  return node instanceof HTMLTextAreaElement && Boolean(node.dataset.draft)
}

function slot(area: HTMLTextAreaElement): string {
  return PREFIX + (area.dataset.draft ?? '')
}

function save(area: HTMLTextAreaElement): void {
  if (area.value === '') sessionStorage.removeItem(slot(area))
  else sessionStorage.setItem(slot(area), area.value)
}

function restore(root: ParentNode): void {
  for (const area of root.querySelectorAll<HTMLTextAreaElement>('textarea[data-draft]')) {
    const text = sessionStorage.getItem(slot(area))
    // A field that holds what the server put there, and that nobody typed into yet, gives way to the draft.
    const untouched = area.value === '' || area.dataset.draftOver !== undefined
    if (text !== null && untouched) area.value = text
  }
}

export function keepDrafts(): void {
  addEventListener('input', (event) => {
    if (isDraft(event.target)) save(event.target)
  })
  document.addEventListener('htmx:after:swap', () => restore(document))
  restore(document)
}
