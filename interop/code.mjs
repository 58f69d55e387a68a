// A client that people come with, by oauth4webapi alone: `node code.mjs site.json` prints one JSON line per check,
// `{name, ok, detail}`, and `{visit}` where a person has to go; where they came back to is read from standard input.

import { readFile } from 'node:fs/promises'
import * as oauth from 'oauth4webapi'
import { browser, refused, run, same, signingKey } from './checks.mjs'

const site = JSON.parse(await readFile(process.argv[2], 'utf8'))
const insecure = { [oauth.allowInsecureRequests]: true }
const issuer = new URL(site.issuer)
const visit = browser()

const privateKey = await signingKey(site.key)
const server = await oauth.processDiscoveryResponse(
  issuer, await oauth.discoveryRequest(issuer, { algorithm: 'oidc', ...insecure }),
)
const portal = { client_id: 'portal', userinfo_signed_response_alg: 'ES256', authorization_signed_response_alg: 'ES256' }
const app = { client_id: 'app' }
const proof = oauth.PrivateKeyJwt(privateKey)
const pair = await oauth.generateKeyPair('ES256')
const kept = {}

// Where proofs need a nonce, the first one is made again (RFC 9449 section 8); the handle keeps it for the next.
async function proven(ask) {
  try {
    return await ask()
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error
    kept.nonces = (kept.nonces ?? 0) + 1
    return ask()
  }
}

async function selfRegistered(metadata) {
  const sent = { client_name: 'Nobody wrote it down', grant_types: ['client_credentials'], redirect_uris: [], ...metadata }
  return oauth.processDynamicClientRegistrationResponse(
    await oauth.dynamicClientRegistrationRequest(server, sent, insecure),
  )
}

// An answer by the front channel that would hold more than a code.
async function withMore(response_type) {
  const request = await asked(site.app, { client_id: 'app', scope: 'openid', response_type, response_mode: 'fragment' })
  const back = await visit(to(request.sent))
  return { request, answered: new URLSearchParams(back.hash.slice(1)) }
}

async function asked(redirect, parameters) {
  const verifier = oauth.generateRandomCodeVerifier()
  const [state, nonce] = [oauth.generateRandomState(), oauth.generateRandomNonce()]
  const challenge = await oauth.calculatePKCECodeChallenge(verifier)
  const sent = new URLSearchParams({
    response_type: 'code', redirect_uri: redirect, state, nonce,
    code_challenge: challenge, code_challenge_method: 'S256', ...parameters,
  })
  return { verifier, state, nonce, redirect, sent }
}

const to = (parameters) => {
  const url = new URL(server.authorization_endpoint)
  url.search = new URLSearchParams(parameters)
  return url
}

async function redeemed(client, authentication, request, parameters, options = {}) {
  const response = await oauth.authorizationCodeGrantRequest(
    server, client, authentication, parameters, request.redirect, request.verifier, { ...insecure, ...options },
  )
  const answer = await oauth.processAuthorizationCodeResponse(server, client, response, {
    expectedNonce: request.nonce, requireIdToken: true, maxAge: request.maxAge,
  })
  await oauth.validateApplicationLevelSignature(server, response, insecure)
  return answer
}

const CHECKS = {
  'what discovery says': async () => {
    same(server.response_types_supported, ['code'])
    same(server.authorization_response_iss_parameter_supported, true)
    same(server.code_challenge_methods_supported, ['S256'])
    return [server.authorization_endpoint, server.pushed_authorization_request_endpoint, server.userinfo_endpoint]
  },
  'a plain code flow of a public client, with iss and nonce': async () => {
    const request = await asked(site.app, { client_id: 'app', scope: 'openid things:read', max_age: '3600' })
    request.maxAge = 3600
    const back = await visit(to(request.sent))
    const parameters = oauth.validateAuthResponse(server, app, back, request.state)
    const answer = await redeemed(app, oauth.None(), request, parameters)
    same(answer.token_type, 'bearer')
    return oauth.getValidatedIdTokenClaims(answer)
  },
  'a fragment response of the same': async () => {
    const request = await asked(site.app, { client_id: 'app', scope: 'openid', response_mode: 'fragment' })
    const back = await visit(to(request.sent))
    const parameters = oauth.validateAuthResponse(server, app, new URLSearchParams(back.hash.slice(1)), request.state)
    return (await redeemed(app, oauth.None(), request, parameters)).scope
  },
  'an error response has iss, too': async () => {
    const request = await asked(site.app, { client_id: 'app', scope: 'no:such-scope' })
    const back = await visit(to(request.sent))
    const error = await refused(() => oauth.validateAuthResponse(server, app, back, request.state))
    same([error.error, back.searchParams.get('iss')], ['invalid_scope', site.issuer])
    return error.error_description
  },
  'signed and pushed with a DPoP proof, answered by JARM, redeemed with the same key': async () => {
    const request = await asked(site.portal, {
      client_id: 'portal', scope: 'openid profile things:read offline_access', response_mode: 'jwt',
      claims: JSON.stringify({ id_token: { department: null } }),
    })
    const object = await oauth.issueRequestObject(server, portal, request.sent, privateKey, {
      [oauth.modifyAssertion]: (_header, claims) => { claims.exp = claims.iat + 60 },
    })
    const DPoP = oauth.DPoP(portal, pair)
    const pushed = await proven(async () => oauth.processPushedAuthorizationResponse(
      server, portal, await oauth.pushedAuthorizationRequest(
        server, portal, proof, new URLSearchParams({ client_id: 'portal', request: object }), { ...insecure, DPoP },
      ),
    ))
    same(kept.nonces, 1)
    const back = await visit(to({ client_id: 'portal', request_uri: pushed.request_uri }))
    const parameters = await oauth.validateJwtAuthResponse(server, portal, back, request.state, insecure)
    const answer = await redeemed(portal, proof, request, parameters, { DPoP })
    same(answer.token_type, 'dpop')
    Object.assign(kept, { answer, DPoP, sub: oauth.getValidatedIdTokenClaims(answer).sub })
    return { scope: answer.scope, expires_in: pushed.expires_in }
  },
  'a refresh with the same key, for one resource': async () => {
    const response = await oauth.refreshTokenGrantRequest(
      server, portal, proof, kept.answer.refresh_token,
      { ...insecure, DPoP: kept.DPoP, additionalParameters: new URLSearchParams({ resource: site.own }) },
    )
    const answer = await oauth.processRefreshTokenResponse(server, portal, response)
    same(answer.token_type, 'dpop')
    kept.identity = answer.access_token
    return answer.scope
  },
  'signed user info, with a DPoP proof': async () => {
    const response = await oauth.userInfoRequest(server, portal, kept.identity, { ...insecure, DPoP: kept.DPoP })
    const said = await oauth.processUserInfoResponse(server, portal, kept.sub, response)
    await oauth.validateApplicationLevelSignature(server, response, insecure)
    return said
  },
  'user info without the proof is challenged': async () => {
    const response = await oauth.userInfoRequest(server, portal, kept.identity, insecure)
    const error = await refused(() => oauth.processUserInfoResponse(server, portal, kept.sub, response))
    same([error.constructor.name, error.status], ['WWWAuthenticateChallengeError', 401])
    return error.cause.map(({ scheme, parameters }) => [scheme, parameters.error])
  },
  'a device, pending until a person allowed it': async () => {
    const begun = await oauth.processDeviceAuthorizationResponse(server, app, await oauth.deviceAuthorizationRequest(
      server, app, oauth.None(), new URLSearchParams({ scope: 'openid things:read' }), insecure,
    ))
    const ask = async () => oauth.processDeviceCodeResponse(
      server, app, await oauth.deviceCodeGrantRequest(server, app, oauth.None(), begun.device_code, insecure),
    )
    same((await refused(ask)).error, 'authorization_pending')
    same((await refused(ask)).error, 'slow_down')
    await visit(new URL(begun.verification_uri_complete))
    const answer = await ask()
    same((await refused(ask)).error, 'invalid_grant')
    return [begun.user_code, answer.scope, oauth.getValidatedIdTokenClaims(answer).sub]
  },
  'a person who is asked out of band': async () => {
    const begun = await oauth.processBackchannelAuthenticationResponse(
      server, portal, await oauth.backchannelAuthenticationRequest(
        server, portal, proof,
        new URLSearchParams({
          scope: 'openid things:read', id_token_hint: kept.answer.id_token, binding_message: 'W4SCT',
        }), insecure,
      ),
    )
    const ask = async () => oauth.processBackchannelAuthenticationGrantResponse(
      server, portal,
      await oauth.backchannelAuthenticationGrantRequest(server, portal, proof, begun.auth_req_id, insecure),
    )
    same((await refused(ask)).error, 'authorization_pending')
    await visit(new URL(`${site.issuer}/approvals?r=${begun.auth_req_id.split('.')[0]}`))
    const answer = await ask()
    const response = await oauth.refreshTokenGrantRequest(server, portal, proof, answer.refresh_token, insecure)
    const again = await oauth.processRefreshTokenResponse(server, portal, response)
    return [answer.scope, again.scope, oauth.getValidatedIdTokenClaims(answer).sub]
  },
  'a protected resource, found by what it says of itself (RFC 9728)': async () => {
    const api = new URL(site.api)
    const said = await oauth.processResourceDiscoveryResponse(api, await oauth.resourceDiscoveryRequest(api, insecure))
    same([said.resource, said.authorization_servers], [site.api, [site.issuer]])
    return said
  },
  'an API takes a bound token with its proof alone': async () => {
    const { access_token } = kept.answer
    const call = (options) =>
      oauth.protectedResourceRequest(access_token, 'GET', new URL(site.api), undefined, undefined, { ...insecure, ...options })
    const said = await (await call({ DPoP: kept.DPoP })).json()
    same([said.sub, said.client_id, said.scope], [kept.sub, 'portal', 'things:read'])
    const error = await refused(() => call())
    same([error.constructor.name, error.status], ['WWWAuthenticateChallengeError', 401])
    return error.cause.map(({ scheme, parameters }) => [scheme, parameters.error])
  },
  'a client that registers itself (RFC 7591), with a secret': async () => {
    const made = await selfRegistered({ token_endpoint_auth_method: 'client_secret_basic' })
    const secret = oauth.ClientSecretBasic(made.client_secret)
    const parameters = new URLSearchParams({ resource: site.api })
    const response = await oauth.clientCredentialsGrantRequest(server, made, secret, parameters, insecure)
    const { access_token } = await oauth.processClientCredentialsResponse(server, made, response)
    const request = new Request(site.api, { headers: { authorization: `Bearer ${access_token}` } })
    return (await oauth.validateJwtAccessToken(server, request, site.api, insecure)).client_id
  },
  'what registers itself wrongly is told': async () => {
    const error = await refused(() => selfRegistered({ token_endpoint_auth_method: 'client_secret_jwt' }))
    same([error.status, error.error], [400, 'invalid_client_metadata'])
    return error.error_description
  },
  'a secret that signs is no secret that is known': async () => {
    const made = await selfRegistered({ token_endpoint_auth_method: 'client_secret_basic' })
    const error = await refused(async () => oauth.processClientCredentialsResponse(
      server, made, await oauth.clientCredentialsGrantRequest(
        server, made, oauth.ClientSecretJwt(made.client_secret), new URLSearchParams(), insecure,
      ),
    ))
    same([error.status, error.error], [401, 'invalid_client'])
    return error.error_description
  },
  'no ID token by the front channel, with a code or for one': async () => {
    const { request, answered } = await withMore('code id_token')
    const beside = () => oauth.validateCodeIdTokenResponse(
      server, app, answered, request.nonce, request.state, oauth.skipAuthTimeCheck, insecure,
    )
    const detached = () => oauth.validateDetachedSignatureResponse(
      server, app, answered, request.nonce, request.state, oauth.skipAuthTimeCheck, insecure,
    )
    const found = [(await refused(beside)).error, (await refused(detached)).error]
    same(found, ['unsupported_response_type', 'unsupported_response_type'])
    return found
  },
  'a code counts once': async () => {
    const request = await asked(site.app, { client_id: 'app', scope: 'openid' })
    const parameters = oauth.validateAuthResponse(server, app, await visit(to(request.sent)), request.state)
    await redeemed(app, oauth.None(), request, parameters)
    const error = await refused(() => redeemed(app, oauth.None(), request, parameters))
    same([error.status, error.error], [400, 'invalid_grant'])
    return error.error
  },
  'what is not pushed and signed is refused where the bundle says so': async () => {
    const request = await asked(site.portal, { client_id: 'portal', scope: 'openid' })
    const error = await refused(() => oauth
      .pushedAuthorizationRequest(server, portal, proof, request.sent, insecure)
      .then((response) => oauth.processPushedAuthorizationResponse(server, portal, response)))
    same([error.status, error.error], [400, 'invalid_request'])
    return error.error_description
  },
}

await run(CHECKS)
process.exit(0)
