// npm oidc-provider as another trust domain: its own people, its own authorization server, an API behind it, which jose
// guards. It gives its clients authorization grants for our server (token exchange), and takes those of ours (RFC 7523).
// What it thinks of a JWT of ours is jose's to say, by the keys that we publish. Usage: node domain.mjs SETTINGS.json

import { readFileSync } from 'node:fs'
import { createLocalJWKSet, createRemoteJWKSet, jwtVerify } from 'jose'
import Provider, { errors } from 'oidc-provider'

const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag'

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'))
const { api, us } = settings
const known = { // each resource server: its scopes, and how long its tokens live
  [api]: { scope: 'calendar:read calendar:write', accessTokenTTL: 120 },
  [us.issuer]: { scope: 'payments:read payments:write', accessTokenTTL: 100 },
}

const provider = new Provider(settings.issuer, {
  clients: settings.clients,
  jwks: { keys: settings.keys },
  cookies: { keys: ['interop'] },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  features: {
    devInteractions: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => api,
      useGrantedResource: () => true,
      getResourceServerInfo: (_context, resource) => resourceServer(resource),
    },
  },
  // A grant for us is no access token, and names the client as we know it.
  formats: {
    customizers: {
      jwt(context, { resourceServer }, jwt) {
        if (resourceServer.identifier() !== us.issuer) return
        jwt.header = { typ: context.oidc.params.requested_token_type === ID_JAG ? 'oauth-id-jag+jwt' : 'JWT' }
        jwt.payload.client_id = us.client_ids[jwt.payload.client_id]
      },
    },
  },
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  // Whoever signs in has agreed already.
  async loadExistingGrant({ oidc: { client, session } }) {
    return granted(client, session.accountId, api, known[api].scope, 'openid')
  },
})

function resourceServer(resource) {
  if (!known[resource]) throw new errors.InvalidTarget()
  return { ...known[resource], audience: resource, accessTokenFormat: 'jwt', jwt: { sign: { alg: 'ES256' } } }
}

async function granted(client, accountId, resource, scope, own) {
  const grant = new provider.Grant({ clientId: client.clientId, accountId })
  if (own) grant.addOIDCScope(own)
  grant.addResourceScope(resource, scope)
  await grant.save()
  return grant
}

// A token of this domain's own, for one of its resource servers or for us.
async function issued({ oidc: { client } }, accountId, resource, scope, gty) {
  const token = new provider.AccessToken({
    accountId, client, gty, grantId: (await granted(client, accountId, resource, scope)).jti,
  })
  token.resourceServer = new provider.ResourceServer(resource, resourceServer(resource))
  token.scope = scope
  return { value: await token.save(), expires_in: token.expiration }
}

async function judged(token, keys, expected, Refusal) {
  try {
    return (await jwtVerify(token ?? '', keys, { algorithms: ['ES256'], ...expected })).payload
  } catch (error) {
    throw new Refusal([error.code ?? error.message, error.claim].filter(Boolean).join(' '))
  }
}

const narrowed = (asked, within) => {
  const wanted = asked?.split(' ') ?? within
  if (wanted.some((scope) => !within.includes(scope))) throw new errors.InvalidScope('more than there is', asked)
  return wanted.join(' ')
}

const own = createLocalJWKSet({ keys: settings.keys.map(({ d, ...key }) => key) })
const mine = { issuer: settings.issuer, audience: api, typ: 'at+jwt' }

// Out of this domain (draft-ietf-oauth-identity-chaining, ID-JAG): a client's token for a grant at our server.
provider.registerGrantType(EXCHANGE, async (context) => {
  const { params, client } = context.oidc
  const payload = await judged(params.subject_token, own, mine, errors.InvalidRequest)
  if (payload.client_id !== client.clientId) throw new errors.InvalidRequest('another client has that token')
  if (!known[params.audience]) throw new errors.InvalidTarget()
  const scope = narrowed(params.scope, known[params.audience].scope.split(' '))
  const { value, expires_in } = await issued(context, payload.sub, params.audience, scope, EXCHANGE)
  context.body = { access_token: value, issued_token_type: params.requested_token_type, token_type: 'N_A', expires_in, scope }
}, ['subject_token', 'subject_token_type', 'requested_token_type', 'audience', 'scope'])

// Into this domain: an assertion of ours for a token here. Only its clock is its own.
const theirs = createRemoteJWKSet(new URL(us.jwks_uri))
provider.registerGrantType(JWT_BEARER, async (context) => {
  const { params, client } = context.oidc
  const payload = await judged(params.assertion, theirs, {
    issuer: us.issuer,
    audience: settings.issuer,
    typ: 'oauth-id-jag+jwt',
    requiredClaims: ['sub', 'client_id', 'jti', 'iat', 'exp', 'scope'],
    currentDate: new Date(Date.now() + (settings.ahead ?? 0) * 1000),
  }, errors.InvalidGrant)
  if (payload.aud !== settings.issuer) throw new errors.InvalidGrant('it is for others, too')
  if (payload.client_id !== client.clientId) throw new errors.InvalidGrant('it is another client\'s')
  const scope = narrowed(params.scope, payload.scope.split(' '))
  if (!(await provider.ReplayDetection.unique(payload.iss, payload.jti, payload.exp))) {
    throw new errors.InvalidGrant('it was here before')
  }
  const { value, expires_in } = await issued(context, `${us.prefix}${payload.sub}`, api, scope, JWT_BEARER)
  context.body = { access_token: value, token_type: 'Bearer', expires_in, scope }
}, ['assertion', 'scope'])

// The API behind it all.
provider.use(async (context, next) => {
  if (context.path !== new URL(api).pathname) return next()
  const [scheme, token] = (context.get('authorization') || ' ').split(' ')
  try {
    if (scheme !== 'Bearer') throw new Error('no bearer token')
    const { payload: { sub, client_id, scope } } = await jwtVerify(token, own, { algorithms: ['ES256'], ...mine })
    context.status = scope.split(' ').includes('calendar:read') ? 200 : 403
    context.body = { sub, client_id, scope }
  } catch (error) {
    context.status = 401
    context.body = { error: error.code ?? error.message }
  }
})

// Why something was refused: its clients are not told, whoever tests it is. And what went wrong by itself.
provider.on('grant.error', (context, error) => context.set('x-why', error.error_detail ?? error.error_description))
provider.on('server_error', (_context, error) => console.error(error))
provider.listen(settings.port, '127.0.0.1', () => process.stdout.write('ready\n'))
process.on('SIGTERM', () => process.exit(0))
