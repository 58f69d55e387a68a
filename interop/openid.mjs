// openid-client against a running server: `node openid.mjs manifest.json` prints one JSON line per check,
// `{name, ok, detail}`. Everything protocol-wise is openid-client's own; this only says what to ask for.

import { readFile } from 'node:fs/promises'
import * as client from 'openid-client'
import { refused, run, same, signingKey } from './checks.mjs'
import { visit } from './person.mjs'

const manifest = JSON.parse(await readFile(process.argv[2], 'utf8'))
const issuer = new URL(manifest.issuer)
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token'
const EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange'
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const WORKBENCH = 'https://workbench.meridian.example/signed-in'
const POCKET = 'http://127.0.0.1:50123/signed-in'
const HERS = { tenant: 'nordic', purpose: 'customer-refund', login_hint: 'maya.lindqvist@meridian.example' }
const HIS = { tenant: 'alpine', login_hint: 'kai.jensen@meridian.example' }
const HER_SCOPE = 'openid profile payments:read payments:create payments:refund'
const HIS_SCOPE = 'openid profile offline_access customers:read.basic customers:notes'

async function configured(id, ...more) {
  const entry = manifest.clients.find(({ client_id }) => client_id === id)
  const authentication = {
    client_secret_basic: () => client.ClientSecretBasic(entry.client_secret),
    client_secret_post: () => client.ClientSecretPost(entry.client_secret),
    private_key_jwt: async () => client.PrivateKeyJwt(await signingKey(entry.private_key_jwk)),
    none: () => client.None(),
  }[entry.auth_method]
  const execute = [client.allowInsecureRequests, ...more]
  return client.discovery(issuer, id, { use_mtls_endpoint_aliases: false }, await authentication(), { execute })
}

const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))

// A person comes with a client, however much it says, and the client gets its tokens.
async function signedIn(config, redirect_uri, scope, more, { pushed = false, DPoP, decision, cookies } = {}) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()]
  const parameters = {
    redirect_uri,
    scope,
    state: expectedState,
    nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    ...more,
  }
  const url = pushed
    ? await client.buildAuthorizationUrlWithPAR(config, parameters, { DPoP })
    : client.buildAuthorizationUrl(config, parameters)
  const back = await visit(url, { until: redirect_uri, decision, cookies })
  const checks = { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true }
  return client.authorizationCodeGrant(config, back, checks, undefined, { DPoP })
}

const hers = (config, more) => signedIn(config, WORKBENCH, HER_SCOPE, HERS, { pushed: true, ...more })
const his = (config, more) => signedIn(config, POCKET, HIS_SCOPE, HIS, more)

const CHECKS = {
  'discovery': async () => {
    const server = (await configured('workbench')).serverMetadata()
    same([server.issuer, server.supportsPKCE()], [manifest.issuer, true])
    return server.grant_types_supported
  },
  'code with PKCE, pushed, by a confidential client': async () => {
    const answer = await hers(await configured('workbench'))
    same([answer.token_type, answer.scope], ['bearer', 'payments:read payments:create payments:refund'])
    const { sub, aud } = answer.claims()
    same([sub, aud], ['maya.lindqvist', 'workbench'])
    return answer.claims()
  },
  'code with PKCE, by a public client at a loopback address': async () => {
    const answer = await his(await configured('pocket'))
    same([answer.claims().sub, claimsOf(answer.access_token).client_id], ['kai.jensen', 'pocket'])
    return answer.scope
  },
  'code with PKCE, answered by a signed response (JARM)': async () => {
    const answer = await hers(await configured('workbench', client.useJwtResponseMode))
    return answer.claims().sub
  },
  'code bound by DPoP, and its refresh': async () => {
    const config = await configured('pocket')
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
    const answer = await his(config, { DPoP })
    same([answer.token_type, typeof claimsOf(answer.access_token).cnf.jkt], ['dpop', 'string'])
    const bearer = await refused(() => client.refreshTokenGrant(config, answer.refresh_token))
    const renewed = await client.refreshTokenGrant(config, answer.refresh_token, undefined, { DPoP })
    same(claimsOf(renewed.access_token).cnf, claimsOf(answer.access_token).cnf)
    return bearer.error
  },
  'a person who says no': async () => {
    const config = await configured('workbench')
    const asked = { ...HERS, prompt: 'consent' } // she may have allowed it before
    const error = await refused(() => signedIn(config, WORKBENCH, HER_SCOPE, asked, { pushed: true, decision: 'deny' }))
    same([error.constructor.name, error.error], ['AuthorizationResponseError', 'access_denied'])
    return error.error_description
  },
  'user info': async () => {
    const config = await configured('workbench')
    const { refresh_token, ...answer } = await hers(config)
    const { access_token } = await client.refreshTokenGrant(config, refresh_token, { resource: manifest.issuer })
    const said = await client.fetchUserInfo(config, access_token, 'maya.lindqvist')
    same([said.sub, said.display_name], ['maya.lindqvist', 'Maya Lindqvist'])
    await refused(() => client.fetchUserInfo(config, access_token, 'kai.jensen'))
    await refused(() => client.fetchUserInfo(config, answer.access_token, 'maya.lindqvist'))
    return said
  },
  'refresh, for less': async () => {
    const config = await configured('workbench')
    const { refresh_token } = await hers(config)
    const less = await client.refreshTokenGrant(config, refresh_token, { scope: 'payments:read' })
    same(less.scope, 'payments:read')
    const more = await refused(() => client.refreshTokenGrant(config, refresh_token, { scope: 'payments:approve' }))
    return more.error
  },
  'refresh with rotation, and its replay': async () => {
    const config = await configured('pocket')
    const { refresh_token } = await his(config)
    const next = await client.refreshTokenGrant(config, refresh_token)
    same(next.refresh_token === refresh_token, false)
    const replayed = await refused(() => client.refreshTokenGrant(config, refresh_token))
    const ended = await refused(() => client.refreshTokenGrant(config, next.refresh_token))
    same([replayed.error, ended.error], ['invalid_grant', 'invalid_grant'])
    return ended.error_description
  },
  'a device that somebody allows elsewhere': async () => {
    const config = await configured('till')
    const begun = await client.initiateDeviceAuthorization(config, { scope: 'openid customers:read.basic', tenant: 'alpine' })
    await visit(begun.verification_uri_complete, { who: 'kai.jensen' })
    const answer = await client.pollDeviceAuthorizationGrant(config, begun)
    same([answer.scope, answer.claims().sub], ['customers:read.basic', 'kai.jensen'])
    return answer.scope
  },
  'somebody asked out of band (CIBA, poll)': async () => {
    const config = await configured('workbench')
    const binding_message = `Call ${crypto.randomUUID().slice(0, 8)}`
    const asked = { scope: 'openid payments:read', login_hint: 'maya.lindqvist', binding_message, tenant: 'nordic' }
    const begun = await client.initiateBackchannelAuthentication(config, asked)
    await visit(new URL('/approvals', issuer), { who: 'maya.lindqvist', about: binding_message })
    const answer = await client.pollBackchannelAuthenticationGrant(config, begun)
    same([answer.scope, answer.claims().sub], ['payments:read', 'maya.lindqvist'])
    return answer.scope
  },
  'client credentials, client_secret_basic': () => own('flags-relay', 'feature-flags', 'flags:evaluate'),
  'client credentials, client_secret_post': () => own('reporting-batch', 'reports', 'reports:view'),
  'client credentials, private_key_jwt': () => own('payments-api', 'ledger', 'ledger:read'),
  'client credentials, bound by DPoP': async () => {
    const config = await configured('flags-relay')
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
    const answer = await client.clientCredentialsGrant(config, { scope: 'flags:evaluate' }, { DPoP })
    same(answer.token_type, 'dpop')
    return claimsOf(answer.access_token).cnf
  },
  'token exchange, by an agent': async () => {
    const config = await configured('refunds-agent')
    const { form } = manifest.requests.find(({ name }) => name === 'the agent gets less than its person')
    const { client_id, client_secret, grant_type, ...parameters } = form
    const answer = await client.genericGrantRequest(config, EXCHANGE, { ...parameters, scope: 'payments:read' })
    same([answer.issued_token_type, claimsOf(answer.access_token).act.sub], [ACCESS_TOKEN, 'refunds-agent'])
    return answer.scope
  },
  'JWT bearer, which counts once': async () => {
    const config = await configured('flags-relay')
    const { form } = manifest.requests.find(({ form }) => form?.grant_type === JWT_BEARER && !form.tenant)
    const asked = { assertion: form.assertion, scope: form.scope }
    const answer = await client.genericGrantRequest(config, JWT_BEARER, asked)
    const again = await refused(() => client.genericGrantRequest(config, JWT_BEARER, asked))
    same([answer.scope, again.error], ['flags:evaluate', 'invalid_grant'])
    return again.error_description
  },
  'a secret that signs is no secret that is known': async () => {
    const { client_secret } = manifest.clients.find(({ client_id }) => client_id === 'flags-relay')
    const execute = [client.allowInsecureRequests]
    const config = await client.discovery(issuer, 'flags-relay', {}, client.ClientSecretJwt(client_secret), { execute })
    return (await refused(() => client.clientCredentialsGrant(config, { scope: 'flags:evaluate' }))).error
  },
  'signing out, where the application came from': async () => {
    const config = await configured('workbench')
    const cookies = new Map()
    const answer = await hers(config, { cookies })
    const after = 'https://workbench.meridian.example/'
    const url = client.buildEndSessionUrl(config, { id_token_hint: answer.id_token, post_logout_redirect_uri: after, state: 's' })
    same((await visit(url, { until: after, cookies })).href, `${after}?state=s`)
    const ended = await refused(() => client.refreshTokenGrant(config, answer.refresh_token))
    return ended.error
  },
  'introspection and revocation': async () => {
    const config = await configured('flags-relay')
    const { access_token } = await client.clientCredentialsGrant(config, { scope: 'flags:evaluate' })
    const said = await client.tokenIntrospection(config, access_token)
    same([said.active, said.scope], [true, 'flags:evaluate'])
    await client.tokenRevocation(config, access_token)
    same((await client.tokenIntrospection(config, access_token)).active, false)
    return said.client_id
  },
  'a refresh token that is given back ends its grant': async () => {
    const config = await configured('workbench')
    const { refresh_token, access_token } = await hers(config)
    await client.tokenRevocation(config, refresh_token)
    const ended = await refused(() => client.refreshTokenGrant(config, refresh_token))
    same([ended.error, (await client.tokenIntrospection(config, access_token)).active], ['invalid_grant', false])
    return ended.error
  },
}

async function own(id, audience, scope) {
  const answer = await client.clientCredentialsGrant(await configured(id), { audience, scope })
  same([answer.token_type, answer.scope], ['bearer', scope])
  return claimsOf(answer.access_token).sub
}

await run(CHECKS)
