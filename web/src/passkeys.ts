// Passkeys: one is added on the account page, and signs a decision where a rule demands it.
// The server makes what is signed; the browser only carries it to the authenticator and back.

type Offer = { options: PublicKeyCredentialCreationOptionsJSON; ticket: string }
type Asked = { options: PublicKeyCredentialRequestOptionsJSON }

export function usePasskeys(): void {
  const adding = document.querySelector<HTMLFormElement>('#passkey-form')
  adding?.addEventListener('submit', (event) => {
    event.preventDefault()
    void saying(() => add(adding))
  })
  const deciding = document.querySelector<HTMLFormElement>('#decision-form[data-passkey]')
  deciding?.addEventListener('submit', (event) => {
    const button = event.submitter
    if (!(button instanceof HTMLButtonElement) || button.name !== 'kind') return
    if (!button.value.startsWith('approve')) return
    event.preventDefault()
    void saying(() => sign(deciding, button))
  })
}

async function add(form: HTMLFormElement): Promise<void> {
  const label = (form.elements.namedItem('label') as HTMLInputElement).value
  const password = (form.elements.namedItem('password') as HTMLInputElement | null)?.value ?? ''
  const headers = { 'x-csrf-token': form.dataset['csrf'] ?? '', 'content-type': 'application/json' }
  const offer = await asked<Offer>('/account/passkeys/offer', {
    method: 'POST',
    headers,
    body: JSON.stringify({ password }),
  })
  const publicKey = PublicKeyCredential.parseCreationOptionsFromJSON(offer.options)
  const made = (await navigator.credentials.create({ publicKey })) as PublicKeyCredential
  const body = JSON.stringify({ label, ticket: offer.ticket, credential: made.toJSON() })
  await asked('/account/passkeys', { method: 'POST', headers, body })
  window.location.reload()
}

async function sign(form: HTMLFormElement, button: HTMLButtonElement): Promise<void> {
  const fields = new FormData(form, button)
  const body = new URLSearchParams(fields as unknown as Record<string, string>)
  const said = await asked<Asked>(form.dataset['passkey'] ?? '', { method: 'POST', body })
  const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON(said.options)
  const given = (await navigator.credentials.get({ publicKey })) as PublicKeyCredential
  put(form, 'assertion', JSON.stringify(given.toJSON()))
  put(form, 'kind', button.value)
  form.submit()
}

function put(form: HTMLFormElement, name: string, value: string): void {
  const field = document.createElement('input')
  field.type = 'hidden'
  field.name = name
  field.value = value
  form.append(field)
}

async function asked<T>(path: string, init: RequestInit): Promise<T> {
  const answer = await fetch(path, { ...init, credentials: 'same-origin' })
  const found = (await answer.json()) as T & { detail?: string }
  if (!answer.ok) throw new Error(found.detail ?? 'The server refused it.')
  return found
}

async function saying(work: () => Promise<void>): Promise<void> {
  const line = document.querySelector('#passkey-said')
  try {
    await work()
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    if (line) line.textContent = `Nothing was sent: ${why}`
  }
}
