// oauth4webapi with a client certificate: `node mtls.mjs plan.json` prints one JSON line per check, `{name, ok, detail}`.
// Node's own TLS shows the certificate; where to call, and what comes of it, is oauth4webapi's to say.

import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { request } from 'node:https'
import * as oauth from 'oauth4webapi'
import * as openid from 'openid-client'

const plan = JSON.parse(await readFile(process.argv[2], 'utf8'))
const client = { client_id: plan.client_id, use_mtls_endpoint_aliases: true }
const parameters = new URLSearchParams({ scope: plan.scope })
const called = []

function showing(identity) {
  return (url, { method, headers, body }) =>
    new Promise((resolve, reject) => {
      called.push(new URL(url).hostname)
      const sent = request(url, { method, headers, ca: plan.ca, ...identity }, async (answer) => {
        const parts = []
        for await (const part of answer) parts.push(part)
        resolve(new Response(Buffer.concat(parts), { status: answer.statusCode, headers: answer.headers }))
      })
      sent.on('error', reject)
      sent.end(body === undefined || body === null ? undefined : String(body))
    })
}

const mine = { [oauth.customFetch]: showing(plan.mine) }
const other = { [oauth.customFetch]: showing(plan.other) }
const nobody = { [oauth.customFetch]: showing({}) }
const thumbprint = Buffer.from(new X509Certificate(plan.mine.cert).fingerprint256.replaceAll(':', ''), 'hex').toString('base64url')

let server, token

async function asked(how) {
  const response = await oauth.clientCredentialsGrantRequest(server, client, oauth.TlsClientAuth(), parameters, how)
  return oauth.processClientCredentialsResponse(server, client, response)
}

async function refused(how) {
  try {
    await asked(how)
  } catch (error) {
    return { ok: error.error === 'invalid_client' && error.status === 401, detail: `${error.error} ${error.status}` }
  }
  return { ok: false, detail: 'it was granted' }
}

const CHECKS = {
  'the metadata names the aliases': async () => {
    const issuer = new URL(plan.issuer)
    server = await oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...nobody }))
    const alias = server.mtls_endpoint_aliases?.token_endpoint ?? ''
    return { ok: alias === plan.alias && server.tls_client_certificate_bound_access_tokens === true, detail: alias }
  },
  'a certificate gets a token that is bound to it, at the alias': async () => {
    token = (await asked(mine)).access_token
    const { cnf } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))
    return { ok: cnf['x5t#S256'] === thumbprint && called.at(-1) === new URL(plan.alias).hostname, detail: JSON.stringify(cnf) }
  },
  'introspection tells the certificate': async () => {
    const response = await oauth.introspectionRequest(server, client, oauth.TlsClientAuth(), token, mine)
    const { active, cnf } = await oauth.processIntrospectionResponse(server, client, response)
    return { ok: active === true && cnf['x5t#S256'] === thumbprint, detail: JSON.stringify(cnf) }
  },
  'openid-client does the same': async () => {
    const metadata = { use_mtls_endpoint_aliases: true }
    const how = { algorithm: 'oauth2', [openid.customFetch]: showing(plan.mine) }
    const config = await openid.discovery(new URL(plan.issuer), plan.client_id, metadata, openid.TlsClientAuth(), how)
    const { access_token } = await openid.clientCredentialsGrant(config, { scope: plan.scope })
    const { cnf } = JSON.parse(Buffer.from(access_token.split('.')[1], 'base64url'))
    return { ok: cnf['x5t#S256'] === thumbprint && called.at(-1) === new URL(plan.alias).hostname, detail: JSON.stringify(cnf) }
  },
  'another certificate is refused': () => refused(other),
  'no certificate is refused': () => refused(nobody),
}

for (const [name, check] of Object.entries(CHECKS)) {
  let result
  try {
    result = await check()
  } catch (error) {
    result = { ok: false, detail: `${error.name}: ${error.message} ${JSON.stringify(error.cause ?? '')}` }
  }
  console.log(JSON.stringify({ name, ...result }))
}
