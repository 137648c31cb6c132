// A certified server to calibrate the driver on: what it refuses, the driver asks wrongly on purpose.
// Prints its issuer, then serves until its standard input ends.
import { createServer } from 'node:http';
import * as jose from 'jose';
import Provider from 'oidc-provider';

const server = createServer();
await new Promise((ready) => server.listen(0, '127.0.0.1', ready));
const issuer = `http://127.0.0.1:${server.address().port}`;
const { privateKey } = await jose.generateKeyPair('ES256', { extractable: true });

const provider = new Provider(issuer, {
  jwks: { keys: [{ ...(await jose.exportJWK(privateKey)), alg: 'ES256', use: 'sig', kid: 'oracle' }] },
  scopes: ['openid', 'offline_access'],
  claims: { openid: ['sub'] },
  clientAuthMethods: ['private_key_jwt'],
  clientDefaults: { id_token_signed_response_alg: 'ES256' },
  enabledJWA: {
    clientAuthSigningAlgValues: ['ES256', 'PS256', 'Ed25519'],
    dPoPSigningAlgValues: ['ES256', 'PS256', 'Ed25519'],
    idTokenSigningAlgValues: ['ES256'],
  },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    dPoP: { enabled: true },
    fapi: { enabled: true, profile: '2.0' },
    introspection: { enabled: true },
    pushedAuthorizationRequests: { enabled: true, requirePushedAuthorizationRequests: true },
    registration: { enabled: true, initialAccessToken: 'calibration' },
    revocation: { enabled: true },
    userinfo: { enabled: true },
  },
  findAccount: (_context, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
  interactions: { url: (_context, interaction) => `/interaction/${interaction.uid}` },
  issueRefreshToken: () => true,
  pkce: { required: () => true },
  rotateRefreshToken: false,
  ttl: { AccessToken: 300, AuthorizationCode: 60, ClientCredentials: 300, Grant: 600, Interaction: 600, RefreshToken: 600, Session: 600 },
});

// Every member logs in and consents at once.
async function consent(request, response) {
  const { prompt, params, grantId } = await provider.interactionDetails(request, response);
  const result = prompt.name === 'login' ? { login: { accountId: 'member-1' } } : { consent: {} };
  if (prompt.name === 'consent') {
    const grant = grantId
      ? await provider.Grant.find(grantId)
      : new provider.Grant({ accountId: 'member-1', clientId: params.client_id });
    grant.addOIDCScope('openid offline_access');
    result.consent.grantId = await grant.save();
  }
  await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: true });
}

const callback = provider.callback();
server.on('request', (request, response) => {
  if (!request.url.startsWith('/interaction/')) return callback(request, response);
  consent(request, response).catch((error) => {
    response.statusCode = 500;
    response.end(String(error));
  });
});
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
console.log(issuer);
