// Entry point. The pages work without it; it makes them live and quick to use from the keyboard.
import 'htmx.org'
import 'htmx.org/dist/ext/hx-sse.js'
import { keepDrafts } from './drafts'
import { listenForKeys } from './keys'
import { usePasskeys } from './passkeys'

keepDrafts()
listenForKeys()
usePasskeys()
