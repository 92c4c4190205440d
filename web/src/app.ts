// Entry point. The pages work without it; it makes them live and quick to use from the keyboard.
import 'htmx.org'
import 'htmx.org/dist/ext/hx-sse.js'
import { noteAttention } from './attention'
import { keepDrafts } from './drafts'
import { offerHelp } from './help'
import { followInbox } from './inbox'
import { listenForKeys } from './keys'
import { usePasskeys } from './passkeys'
import { showConnection } from './live'
import { keepTimes } from './times'

keepDrafts()
listenForKeys()
offerHelp()
followInbox()
showConnection()
keepTimes()
usePasskeys()
noteAttention()
