// The peer: npm oidc-provider with its own kind of in-memory storage (without its limit of 1,000 items), signing ES256
// access tokens (RFC 9068) for one resource with five scopes. It evaluates no policy and writes nothing down.
// Usage: node server.mjs SETTINGS.json   (`bench/servers.py` writes SETTINGS)
import { readFileSync, writeFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const now = () => Math.floor(Date.now() / 1000);
const items = new Map();

class Memory {
  constructor(model) { this.model = model; }
  key(id) { return `${this.model}:${id}`; }
  async upsert(id, payload) { items.set(this.key(id), payload); }
  async find(id) { return items.get(this.key(id)); }
  async findByUid() { return undefined; }
  async findByUserCode() { return undefined; }
  async consume(id) { items.get(this.key(id)).consumed = now(); }
  async destroy(id) { items.delete(this.key(id)); }
  async revokeByGrantId() {}
}

const provider = new Provider(settings.issuer, {
  adapter: Memory,
  clients: settings.clients,
  jwks: { keys: [settings.signing_jwk] },
  scopes: [...settings.scopes, 'offline_access'],
  enabledJWA: {
    clientAuthSigningAlgValues: ['ES256'],
    dPoPSigningAlgValues: ['ES256'],
    idTokenSigningAlgValues: ['ES256'],
  },
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  clientAuthMethods: ['client_secret_basic', 'private_key_jwt'],
  findAccount: async (_ctx, id) => ({ accountId: id, claims: async () => ({ sub: id }) }),
  issueRefreshToken: async () => true,
  rotateRefreshToken: false,
  ttl: { AccessToken: 300, ClientCredentials: 300, AuthorizationCode: 3600, Grant: 86400, RefreshToken: 86400 },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    dPoP: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: () => settings.resource,
      useGrantedResource: () => true,
      getResourceServerInfo: () => ({
        scope: settings.scopes.join(' '),
        audience: settings.resource,
        accessTokenFormat: settings.opaque ? 'opaque' : 'jwt',
        accessTokenTTL: 300,
        jwt: { sign: { alg: 'ES256' } },
      }),
    },
  },
});
provider.proxy = false;

// What people allowed before the measurement begins: codes and refresh tokens, made by the provider's own models.
async function seed({ codes, renewals, file, redirect_uri, challenge }) {
  const made = { codes: [], renewals: [] };
  for (let index = 0; index < codes + renewals; index += 1) {
    const clientId = settings.clients[index % settings.clients.length].client_id;
    const accountId = `u${index}`;
    const grant = new provider.Grant({ accountId, clientId });
    grant.addResourceScope(settings.resource, settings.scopes.join(' '));
    const common = {
      accountId,
      authTime: now(),
      client: await provider.Client.find(clientId),
      grantId: await grant.save(),
      gty: 'authorization_code',
      resource: settings.resource,
      scope: settings.scopes.join(' '),
    };
    if (index < codes) {
      const code = new provider.AuthorizationCode({
        ...common, codeChallenge: challenge, codeChallengeMethod: 'S256', redirectUri: redirect_uri,
      });
      made.codes.push([clientId, await code.save()]);
    } else {
      made.renewals.push([clientId, await new provider.RefreshToken(common).save()]);
    }
  }
  writeFileSync(file, JSON.stringify(made));
}

await seed(settings.seed);
const server = provider.listen(settings.port, '127.0.0.1', () => process.stdout.write('ready\n'));
server.keepAliveTimeout = 60_000;
process.on('SIGTERM', () => process.exit(0));
