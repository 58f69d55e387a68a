// npm oidc-provider as the OpenID provider that people sign in at: its own development pages, in-memory storage.
// Usage: node provider.mjs SETTINGS.json
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const provider = new Provider(settings.issuer, {
  clients: settings.clients,
  jwks: { keys: settings.keys },
  cookies: { keys: ['interop'] },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id, email_verified: true }) }),
  claims: { openid: ['sub', 'email_verified'], acr: null, auth_time: null, iss: null, sid: null },
  conformIdTokenClaims: false,
  clientAuthMethods: ['client_secret_basic', 'private_key_jwt'],
  enabledJWA: { clientAuthSigningAlgValues: ['ES256'], idTokenSigningAlgValues: ['RS256', 'ES256'] },
  features: {
    devInteractions: { enabled: true },
    backchannelLogout: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  // It reaches no loopback address otherwise, and we are on one.
  fetch: (url, { dispatcher, ...options }) => globalThis.fetch(url, options),
  // Whoever signs in has agreed already: what is tested here is signing in.
  async loadExistingGrant(context) {
    const grant = new context.oidc.provider.Grant({
      clientId: context.oidc.client.clientId,
      accountId: context.oidc.session.accountId,
    });
    grant.addOIDCScope('openid');
    await grant.save();
    return grant;
  },
});
provider.proxy = false;
provider.listen(settings.port, '127.0.0.1', () => process.stdout.write('ready\n'));
process.on('SIGTERM', () => process.exit(0));
