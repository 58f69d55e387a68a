// The peer: npm oidc-provider with its own in-memory storage, signing ES256 access tokens (RFC 9068) for one
// resource with five scopes. It evaluates no policy and writes nothing down.
// Usage: node server.mjs SETTINGS.json   (`bench/servers.py` writes SETTINGS)
import { readFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const provider = new Provider(settings.issuer, {
  clients: settings.clients,
  jwks: { keys: [settings.signing_jwk] },
  scopes: settings.scopes,
  enabledJWA: {
    clientAuthSigningAlgValues: ['ES256'],
    idTokenSigningAlgValues: ['ES256'],
  },
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  clientAuthMethods: ['client_secret_basic', 'private_key_jwt'],
  ttl: { ClientCredentials: 300 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => settings.resource,
      getResourceServerInfo: () => ({
        scope: settings.scopes.join(' '),
        audience: settings.resource,
        accessTokenFormat: 'jwt',
        accessTokenTTL: 300,
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});
provider.proxy = false;
const server = provider.listen(settings.port, '127.0.0.1', () => process.stdout.write('ready\n'));
server.keepAliveTimeout = 60_000;
process.on('SIGTERM', () => process.exit(0));
