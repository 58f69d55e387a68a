// What every script here says and how: one JSON line per check, `{name, ok, detail}`; and `{visit}` where a person has to
// go, whose end is read from standard input.

import { createInterface } from 'node:readline/promises'

export function same(found, expected) {
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`)
  }
}

export async function refused(what) {
  try {
    await what()
  } catch (error) {
    return error
  }
  throw new Error('it was accepted')
}

const told = ({ name, message, error, error_description, cause }) =>
  [name, message, error, error_description, cause && (JSON.stringify(cause) ?? cause)].filter(Boolean).join(' ')

export async function run(checks) {
  for (const [name, check] of Object.entries(checks)) {
    let line
    try {
      line = { name, ok: true, detail: await check() }
    } catch (error) {
      line = { name, ok: false, detail: told(error) }
    }
    console.log(JSON.stringify(line))
  }
}

// Somebody else's browser: asks by standard output where a URL leads.
export function browser() {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()
  return async (url) => {
    console.log(JSON.stringify({ visit: url.href }))
    return new URL((await lines.next()).value)
  }
}

export async function signingKey({ alg, use, key_ops, ...jwk }) {
  const key = await crypto.subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign'])
  return { key, kid: jwk.kid }
}
