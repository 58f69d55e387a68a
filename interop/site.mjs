// openid-client as a client that people come with, where it may register itself and sign its requests: `node site.mjs site.json`.
// What the quickstart's company has a client for is in openid.mjs; this is the rest.

import { readFile } from 'node:fs/promises'
import * as client from 'openid-client'
import { browser, refused, run, same, signingKey } from './checks.mjs'

const site = JSON.parse(await readFile(process.argv[2], 'utf8'))
const issuer = new URL(site.issuer)
const visit = browser()
const execute = [client.allowInsecureRequests]
const portalKey = await signingKey(site.key)
const claimsOf = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))

const portal = (...more) =>
  client.discovery(issuer, 'portal', {}, client.PrivateKeyJwt(portalKey), { execute: [...execute, ...more] })
const app = (...more) => client.discovery(issuer, 'app', undefined, client.None(), { execute: [...execute, ...more] })

async function parametersOf(more) {
  const pkceCodeVerifier = client.randomPKCECodeVerifier()
  const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()]
  const asked = {
    state: expectedState,
    nonce: expectedNonce,
    code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
    code_challenge_method: 'S256',
    ...more,
  }
  return { asked, checks: { pkceCodeVerifier, expectedState, expectedNonce, idTokenExpected: true } }
}

// The front channel carries codes and nothing else, whatever a client configures.
async function withoutCode(use) {
  const config = await app(use)
  const { asked, checks } = await parametersOf({ redirect_uri: site.app, scope: 'openid', response_mode: 'fragment' })
  const back = await visit(client.buildAuthorizationUrl(config, asked))
  const answer = use === client.useIdTokenResponseType
    ? () => client.implicitAuthentication(config, back, checks.expectedNonce, checks)
    : () => client.authorizationCodeGrant(config, back, checks)
  return (await refused(answer)).error
}

const CHECKS = {
  'a signed request (JAR), pushed, answered by a signed response (JARM)': async () => {
    const config = await portal(client.useJwtResponseMode, client.enableNonRepudiationChecks)
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
    const { asked, checks } = await parametersOf({ redirect_uri: site.portal, scope: 'openid things:read' })
    const { searchParams } = await client.buildAuthorizationUrlWithJAR(config, asked, portalKey, {
      [client.modifyAssertion]: (_header, claims) => { claims.exp = claims.iat + 60 },
    })
    const back = await visit(await client.buildAuthorizationUrlWithPAR(config, searchParams, { DPoP }))
    const answer = await client.authorizationCodeGrant(config, back, checks, undefined, { DPoP })
    same([answer.token_type, answer.claims().aud], ['dpop', 'portal'])
    return answer.scope
  },
  'the key set is kept for the next process': async () => {
    const config = await app(client.enableNonRepudiationChecks)
    const { asked, checks } = await parametersOf({ redirect_uri: site.app, scope: 'openid things:read' })
    const back = await visit(client.buildAuthorizationUrl(config, asked))
    await client.authorizationCodeGrant(config, back, checks)
    const known = client.getJwksCache(config)
    const next = await app()
    client.setJwksCache(next, structuredClone(known))
    same(client.getJwksCache(next).jwks.keys.map(({ kid }) => kid), known.jwks.keys.map(({ kid }) => kid))
    return known.jwks.keys.length
  },
  'a client that registers itself, and calls an API': async () => {
    const config = await client.dynamicClientRegistration(
      issuer,
      { client_name: 'Nobody wrote it down', grant_types: ['client_credentials'], redirect_uris: [], scope: 'things:read' },
      client.ClientSecretBasic(),
      { execute },
    )
    const { client_id } = config.clientMetadata()
    const answer = await client.clientCredentialsGrant(config, { scope: 'things:read', resource: site.api })
    const response = await client.fetchProtectedResource(config, answer.access_token, new URL(site.api), 'GET')
    same(await response.json(), { sub: client_id, client_id, scope: 'things:read' })
    return client_id
  },
  'an API takes a bound token with its proof alone': async () => {
    const config = await client.dynamicClientRegistration(
      issuer, { grant_types: ['client_credentials'], redirect_uris: [] }, client.ClientSecretBasic(), { execute },
    )
    const DPoP = client.getDPoPHandle(config, await client.randomDPoPKeyPair('ES256'))
    const { access_token } = await client.clientCredentialsGrant(config, { resource: site.api }, { DPoP })
    const call = (options) => client.fetchProtectedResource(config, access_token, new URL(site.api), 'GET', null, null, options)
    same((await call({ DPoP })).status, 200)
    same((await refused(() => call())).status, 401)
    return claimsOf(access_token).cnf
  },
  'no ID token by the front channel': async () => {
    same(await withoutCode(client.useIdTokenResponseType), 'unsupported_response_type')
  },
  'no ID token beside a code by the front channel': async () => {
    same(await withoutCode(client.useCodeIdTokenResponseType), 'unsupported_response_type')
  },
  'no detached signature by the front channel': async () => {
    const use = (config) => {
      client.useCodeIdTokenResponseType(config)
      client.enableDetachedSignatureResponseChecks(config)
    }
    same(await withoutCode(use), 'unsupported_response_type')
  },
}

await run(CHECKS)
process.exit(0)
