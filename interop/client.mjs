// The strictest OAuth client there is, against a running server: `node client.mjs manifest.json` prints one JSON line
// per check, `{name, ok, detail}`. Everything protocol-wise is oauth4webapi's own; this only says what to ask for.

import { readFile } from 'node:fs/promises'
import * as oauth from 'oauth4webapi'

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
const using = (method, grant) =>
  manifest.clients.find(
    (entry) => entry.auth_method === method && entry.grants.includes(grant) && Object.keys(entry.audiences).length,
  )

let server

async function discover(algorithm) {
  const response = await oauth.discoveryRequest(issuer, { algorithm, ...insecure })
  server = await oauth.processDiscoveryResponse(issuer, response)
  return Object.keys(server).sort()
}

async function credentials(entry, audience, scopes) {
  const parameters = new URLSearchParams({ audience })
  if (scopes.length) parameters.set('scope', scopes.join(' '))
  const client = clientOf(entry)
  const response = await oauth.clientCredentialsGrantRequest(server, client, await authentication(entry), parameters, insecure)
  return oauth.processClientCredentialsResponse(server, client, response)
}

async function exchange(entry, parameters) {
  const client = clientOf(entry)
  const response = await oauth.genericTokenEndpointRequest(
    server, client, await authentication(entry), EXCHANGE, new URLSearchParams(parameters), insecure,
  )
  return oauth.processGenericTokenEndpointResponse(server, client, response)
}

const presented = (token) => new Request('https://resource.example/', { headers: { authorization: `Bearer ${token}` } })
const validated = (token, audience) =>
  oauth.validateJwtAccessToken(server, presented(token), audience, {
    ...insecure,
    signingAlgorithms: ['ES256', 'PS256', 'EdDSA', 'Ed25519', 'RS256'],
  })

async function refused(what) {
  try {
    await what()
  } catch (error) {
    return error
  }
  throw new Error('it was accepted')
}

function same(found, expected) {
  if (JSON.stringify(found) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify(found)} instead of ${JSON.stringify(expected)}`)
  }
}

// The manifest names an audience by its id; a token names it by its identifier, which only the token itself tells here.
const audienceOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url')).aud

async function clientCredentials(method) {
  const entry = using(method, 'client_credentials')
  if (!entry) throw new Error(`the manifest has no client with ${method}`)
  const [audience, scopes] = Object.entries(entry.audiences)[0]
  const answer = await credentials(entry, audience, scopes)
  const claims = await validated(answer.access_token, audienceOf(answer.access_token))
  same(claims.client_id, entry.client_id)
  same(answer.token_type, 'bearer')
  same(claims.exp - claims.iat, answer.expires_in)
  same(typeof claims.jti, 'string')
  same(Object.keys(claims).at(-1), 'ledger_leaf')
  return { client: entry.client_id, scope: claims.scope, algorithm: oauthHeader(answer.access_token).alg }
}

const oauthHeader = (token) => JSON.parse(Buffer.from(token.split('.')[0], 'base64url'))

async function subjectToken(lifetime = 300) {
  const upstream = manifest.trusted_issuers.find((entry) => entry.private_key_jwk && entry.subjects.length)
  const now = Math.floor(Date.now() / 1000)
  return signed(upstream.private_key_jwk, {
    iss: upstream.issuer,
    aud: upstream.audience,
    sub: upstream.subjects[0].sub ?? upstream.subjects[0],
    ...(upstream.subjects[0].claims ?? {}),
    iat: now,
    exp: now + lifetime,
    jti: crypto.randomUUID(),
  })
}

async function tokenExchange() {
  const request = manifest.requests.find(
    (entry) => entry.form?.grant_type === EXCHANGE && entry.expect.status === 200 && basic(entry),
  )
  if (!request) throw new Error('the manifest has no request for a token exchange that succeeds')
  const entry = manifest.clients.find((candidate) => candidate.client_id === basic(request))
  const { grant_type, client_id, client_secret, client_assertion, client_assertion_type, ...parameters } = request.form
  const answer = await exchange(entry, parameters)
  same(answer.issued_token_type, ACCESS_TOKEN)
  const claims = await validated(answer.access_token, audienceOf(answer.access_token))
  same(claims.client_id, entry.client_id)
  return { client: entry.client_id, sub: claims.sub, act: claims.act, scope: claims.scope }
}

// The client of a request in the manifest that authenticates with a secret in the header, else nothing.
function basic(request) {
  const header = Object.entries(request.headers ?? {}).find(([name]) => name.toLowerCase() === 'authorization')?.[1] ?? ''
  return header.startsWith('Basic ') && decodeURIComponent(Buffer.from(header.slice(6), 'base64').toString().split(':')[0])
}

async function aToken() {
  const entry = using('client_secret_basic', 'client_credentials')
  const [audience, scopes] = Object.entries(entry.audiences)[0]
  return (await credentials(entry, audience, scopes)).access_token
}

const CHECKS = {
  'discovery, RFC 8414': () => discover('oauth2'),
  'discovery, OpenID': () => discover('oidc'),
  'client_credentials, client_secret_basic': () => clientCredentials('client_secret_basic'),
  'client_credentials, client_secret_post': () => clientCredentials('client_secret_post'),
  'client_credentials, private_key_jwt': () => clientCredentials('private_key_jwt'),
  'token exchange': tokenExchange,
  'a token for another audience is refused': async () => {
    const token = await aToken()
    return (await refused(() => validated(token, 'https://elsewhere.example'))).message
  },
  'a changed token is refused': async () => {
    const token = await aToken()
    const [header, payload, signature] = token.split('.')
    const claims = JSON.parse(Buffer.from(payload, 'base64url'))
    const changed = `${header}.${base64url(JSON.stringify({ ...claims, scope: 'payments:approve' }))}.${signature}`
    return (await refused(() => validated(changed, claims.aud))).message
  },
  'a wrong secret is answered as RFC 6749 section 5.2 says': async () => {
    const entry = using('client_secret_basic', 'client_credentials')
    const error = await refused(() => credentials({ ...entry, client_secret: 'wrong' }, Object.keys(entry.audiences)[0], []))
    same([error.status, error.cause?.error ?? error.cause?.[0]?.scheme], [401, error.cause?.error ? 'invalid_client' : 'basic'])
    return error.constructor.name
  },
  'an unknown scope is answered with invalid_scope': async () => {
    const entry = using('client_secret_basic', 'client_credentials')
    const error = await refused(() => credentials(entry, Object.keys(entry.audiences)[0], ['no:such-scope']))
    same([error.status, error.error], [400, 'invalid_scope'])
    return error.error_description
  },
  'an unknown audience is answered with invalid_target': async () => {
    const entry = using('client_secret_basic', 'client_credentials')
    const error = await refused(() => credentials(entry, 'https://elsewhere.example/', []))
    same([error.status, error.error], [400, 'invalid_target'])
    return error.error_description
  },
  'an outlived subject token is answered with invalid_grant or invalid_request': async () => {
    const entry = using('client_secret_basic', EXCHANGE) ?? using('client_secret_basic', 'token_exchange')
    const error = await refused(async () =>
      exchange(entry, {
        subject_token: await subjectToken(-300),
        subject_token_type: JWT,
        audience: Object.keys(entry.audiences)[0],
      }),
    )
    same(error.status, 400)
    same(['invalid_grant', 'invalid_request'].includes(error.error), true)
    return error.error
  },
}

for (const [name, check] of Object.entries(CHECKS)) {
  let line
  try {
    line = { name, ok: true, detail: await check() }
  } catch (error) {
    line = { name, ok: false, detail: `${error.name}: ${error.message} ${JSON.stringify(error.cause ?? '', null, 0) ?? ''}` }
  }
  console.log(JSON.stringify(line))
}
