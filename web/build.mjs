// One script for every page: htmx, its event-stream extension, and our own few lines.
import { rmSync } from 'node:fs'
import { build } from 'esbuild'

const outdir = process.env.HANDFAST_WEB_OUT ?? '../src/handfast/server/web/dist'

rmSync(outdir, { recursive: true, force: true })
await build({
  entryPoints: ['src/app.ts'],
  outdir,
  bundle: true,
  format: 'esm',
  minify: true,
  target: 'es2022',
  legalComments: 'linked',
  logLevel: 'warning',
})
