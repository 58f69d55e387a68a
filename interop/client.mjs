// The strictest OAuth client there is, against a running server: `node client.mjs manifest.json` prints one JSON line
// per check, `{name, ok, detail}`. Everything protocol-wise is oauth4webapi's own; this only says what to ask for.

import { readFile } from 'node:fs/promises'
import * as oauth from 'oauth4webapi'
import { refused, run, same } from './checks.mjs'

const manifest = JSON.parse(await readFile(process.argv[2], 'utf8'))
const issuer = new URL(manifest.issuer)
const insecure = { [oauth.allowInsecureRequests]: issuer.protocol === 'http:' }
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
const JWT = 'urn:ietf:params:oauth:token-type:jwt'

const ALGORITHMS = {
  ES256: { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' },
  ES384: { name: 'ECDSA', namedCurve: 'P-384', hash: 'SHA-384' },
  PS256: { name: 'RSA-PSS', hash: 'SHA-256', saltLength: 32 },
  RS256: { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' },
  EdDSA: { name: 'Ed25519' },
  Ed25519: { name: 'Ed25519' },
}

const algorithmOf = (jwk) =>
  jwk.alg ?? (jwk.kty === 'EC' ? { 'P-256': 'ES256', 'P-384': 'ES384' }[jwk.crv] : jwk.kty === 'OKP' ? 'EdDSA' : 'PS256')

async function privateKey(jwk) {
  const { alg, use, key_ops, ...members } = jwk
  const key = await crypto.subtle.importKey('jwk', members, ALGORITHMS[algorithmOf(jwk)], false, ['sign'])
  return { key, kid: jwk.kid }
}

const base64url = (value) => Buffer.from(value).toString('base64url')

async function signed(jwk, claims) {
  const algorithm = algorithmOf(jwk)
  const { key } = await privateKey(jwk)
  const input = [{ alg: algorithm, kid: jwk.kid, typ: 'JWT' }, claims].map((part) => base64url(JSON.stringify(part))).join('.')
  const signature = await crypto.subtle.sign(ALGORITHMS[algorithm], key, Buffer.from(input))
  return `${input}.${base64url(signature)}`
}

async function authentication(client) {
  if (client.auth_method === 'client_secret_basic') return oauth.ClientSecretBasic(client.client_secret)
  if (client.auth_method === 'client_secret_post') return oauth.ClientSecretPost(client.client_secret)
  if (client.auth_method === 'private_key_jwt') return oauth.PrivateKeyJwt(await privateKey(client.private_key_jwk))
  return oauth.None()
}

const clientOf = (entry) => ({ client_id: entry.client_id })
const decoded = (text) => JSON.parse(Buffer.from(text, 'base64url'))
const OWN = ['grant_type', 'client_id', 'client_secret', 'client_assertion', 'client_assertion_type']

// A request of the manifest that succeeds, without its proof of who is asking: {entry, parameters, headers}. The proof
// is oauth4webapi's to make.
function asked(method, grant) {
  for (const { form, headers = {}, expect } of manifest.requests) {
    if (form?.grant_type !== grant || expect.status !== 200) continue
    const { Authorization, authorization = Authorization, ...others } = headers
    const [how, id] = authorization
      ? ['client_secret_basic', decodeURIComponent(Buffer.from(authorization.slice(6), 'base64').toString().split(':')[0])]
      : form.client_assertion
        ? ['private_key_jwt', decoded(form.client_assertion.split('.')[1]).sub]
        : [form.client_secret ? 'client_secret_post' : 'none', form.client_id]
    const entry = manifest.clients.find((candidate) => candidate.client_id === id && candidate.auth_method === how)
    if (how !== method || !entry) continue
    const parameters = Object.fromEntries(Object.entries(form).filter(([name]) => !OWN.includes(name)))
    const kept = Object.entries(others).filter(([name]) => name.toLowerCase() === 'x-forwarded-for')
    return { entry, parameters, headers: Object.fromEntries(kept) }
  }
  throw new Error(`the manifest has no ${grant} with ${method} that succeeds`)
}

let server

async function discover(algorithm) {
  const response = await oauth.discoveryRequest(issuer, { algorithm, ...insecure })
  server = await oauth.processDiscoveryResponse(issuer, response)
  return Object.keys(server).sort()
}

async function credentials({ entry, parameters, headers }) {
  const client = clientOf(entry)
  const response = await oauth.clientCredentialsGrantRequest(
    server, client, await authentication(entry), new URLSearchParams(parameters), { ...insecure, headers },
  )
  return oauth.processClientCredentialsResponse(server, client, response)
}

async function exchange({ entry, parameters, headers }) {
  const client = clientOf(entry)
  const response = await oauth.genericTokenEndpointRequest(
    server, client, await authentication(entry), EXCHANGE, new URLSearchParams(parameters), { ...insecure, headers },
  )
  return oauth.processGenericTokenEndpointResponse(server, client, response)
}

const presented = (token) => new Request('https://resource.example/', { headers: { authorization: `Bearer ${token}` } })
const validated = (token, audience) =>
  oauth.validateJwtAccessToken(server, presented(token), audience, {
    ...insecure,
    signingAlgorithms: ['ES256', 'PS256', 'EdDSA', 'Ed25519', 'RS256'],
  })

// A request may name its audience by id; the token says its identifier.
const audienceOf = (token) => decoded(token.split('.')[1]).aud

async function checked(answer, request) {
  const claims = await validated(answer.access_token, audienceOf(answer.access_token))
  same(claims.client_id, request.entry.client_id)
  same(claims.exp - claims.iat, answer.expires_in)
  same(typeof claims.jti, 'string')
  same(Object.keys(claims).at(-1), 'ledger_leaf')
  return { client: claims.client_id, sub: claims.sub, act: claims.act, scope: claims.scope }
}

async function clientCredentials(method) {
  const request = asked(method, 'client_credentials')
  const answer = await credentials(request)
  same(answer.token_type, 'bearer')
  return checked(answer, request)
}

// A token bound to a key of the client's own (RFC 9449); a proof of its own for each request.
async function boundToAKey() {
  const request = asked('client_secret_basic', 'client_credentials')
  const client = clientOf(request.entry)
  const pair = await oauth.generateKeyPair('ES256')
  const DPoP = oauth.DPoP(client, pair)
  const response = await oauth.clientCredentialsGrantRequest(
    server, client, await authentication(request.entry), new URLSearchParams(request.parameters),
    { ...insecure, headers: request.headers, DPoP },
  )
  const answer = await oauth.processClientCredentialsResponse(server, client, response)
  same(answer.token_type, 'dpop')
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey)
  const digest = await crypto.subtle.digest('SHA-256', Buffer.from(JSON.stringify({ crv, kty, x, y })))
  same(decoded(answer.access_token.split('.')[1]).cnf, { jkt: base64url(digest) })
  return answer.token_type
}

async function introspected(entry, token) {
  const client = clientOf(entry)
  const response = await oauth.introspectionRequest(server, client, await authentication(entry), token, insecure)
  return oauth.processIntrospectionResponse(server, client, response)
}

async function introspection() {
  const request = aRequest()
  const { access_token } = await credentials(request)
  const said = await introspected(request.entry, access_token)
  same([said.active, said.client_id], [true, request.entry.client_id])
  same(await introspected(request.entry, 'nonsense'), { active: false })
  return said.scope
}

// RFC 9701: asked for, and its signature checked against the published keys.
async function signedIntrospection() {
  const request = aRequest()
  const client = clientOf(request.entry)
  const { access_token } = await credentials(request)
  const asked = async (token) => {
    const response = await oauth.introspectionRequest(
      server, client, await authentication(request.entry), token, { ...insecure, requestJwtResponse: true },
    )
    same(response.headers.get('content-type'), 'application/token-introspection+jwt')
    const said = await oauth.processIntrospectionResponse(server, client, response)
    await oauth.validateApplicationLevelSignature(server, response, insecure)
    return said
  }
  const said = await asked(access_token)
  same([said.active, said.client_id], [true, request.entry.client_id])
  same(await asked('nonsense'), { active: false })
  return server.introspection_signing_alg_values_supported
}

async function revocation() {
  const request = aRequest()
  const { access_token } = await credentials(request)
  const client = clientOf(request.entry)
  const response = await oauth.revocationRequest(server, client, await authentication(request.entry), access_token, insecure)
  same(await oauth.processRevocationResponse(response), undefined)
  same(await introspected(request.entry, access_token), { active: false })
  return response.status
}

async function tokenExchange() {
  const request = anExchange()
  const answer = await exchange(request)
  same(answer.issued_token_type, ACCESS_TOKEN)
  return checked(answer, request)
}

function anExchange() {
  for (const method of ['client_secret_basic', 'private_key_jwt', 'client_secret_post', 'none']) {
    try {
      return asked(method, EXCHANGE)
    } catch {
      continue
    }
  }
  throw new Error('the manifest has no token exchange that succeeds')
}

async function outlivedToken() {
  const upstream = manifest.trusted_issuers.find(({ id }) => id === 'login') ?? manifest.trusted_issuers[0]
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: upstream.issuer, aud: upstream.audience, sub: upstream.subjects[0], jti: crypto.randomUUID() }
  return signed(upstream.private_key_jwk, { ...claims, iat: now - 600, exp: now - 300 })
}

const aRequest = () => asked('client_secret_basic', 'client_credentials')
const changed = (request, parameters) => ({ ...request, parameters: { ...request.parameters, ...parameters } })

const CHECKS = {
  'discovery, RFC 8414': () => discover('oauth2'),
  'discovery, OpenID': () => discover('oidc'),
  'client_credentials, client_secret_basic': () => clientCredentials('client_secret_basic'),
  'client_credentials, client_secret_post': () => clientCredentials('client_secret_post'),
  'client_credentials, private_key_jwt': () => clientCredentials('private_key_jwt'),
  'client_credentials, bound by DPoP': boundToAKey,
  'token exchange': tokenExchange,
  'introspection, RFC 7662': introspection,
  'signed introspection, RFC 9701': signedIntrospection,
  'revocation, RFC 7009': revocation,
  'a token for another audience is refused': async () => {
    const { access_token } = await credentials(aRequest())
    return (await refused(() => validated(access_token, 'https://elsewhere.example'))).message
  },
  'a changed token is refused': async () => {
    const { access_token } = await credentials(aRequest())
    const [header, payload, signature] = access_token.split('.')
    const claims = decoded(payload)
    const forged = `${header}.${base64url(JSON.stringify({ ...claims, scope: 'everything' }))}.${signature}`
    return (await refused(() => validated(forged, claims.aud))).message
  },
  'a wrong secret is answered as RFC 6749 section 5.2 says': async () => {
    const request = aRequest()
    const wrong = { ...request, entry: { ...request.entry, client_secret: 'wrong' } }
    const error = await refused(() => credentials(wrong))
    same([error.status, error.cause?.[0]?.scheme], [401, 'basic'])
    return error.constructor.name
  },
  'an unknown scope is answered with invalid_scope': async () => {
    const error = await refused(() => credentials(changed(aRequest(), { scope: 'no:such-scope' })))
    same([error.status, error.error], [400, 'invalid_scope'])
    return error.error_description
  },
  'an unknown audience is answered with invalid_target': async () => {
    const { resource, ...parameters } = aRequest().parameters
    const request = { ...aRequest(), parameters: { ...parameters, audience: 'https://elsewhere.example/' } }
    const error = await refused(() => credentials(request))
    same([error.status, error.error], [400, 'invalid_target'])
    return error.error_description
  },
  'an outlived subject token is answered with invalid_grant or invalid_request': async () => {
    const request = changed(anExchange(), { subject_token: await outlivedToken(), subject_token_type: JWT })
    const error = await refused(() => exchange(request))
    same([error.status, ['invalid_grant', 'invalid_request'].includes(error.error)], [400, true])
    return error.error
  },
}

await run(CHECKS)
