// Drives an OAuth2 server as a FAPI 2.0 client: oauth4webapi does the protocol, this file only asks for it.
// In: one JSON object on standard input. Out: one JSON object, scenario -> "ok" or how it was refused.
import * as jose from 'jose';
import * as oauth from 'oauth4webapi';

const CALLBACK = 'https://tpp.example/cb';
const ALGORITHMS = ['ES256', 'PS256', 'Ed25519'];
const insecure = { [oauth.allowInsecureRequests]: true };
const config = JSON.parse(await new Response(process.stdin).text());
const issuer = new URL(config.issuer);
const results = {};

const as = await oauth
  .discoveryRequest(issuer, { ...insecure, algorithm: 'oauth2' })
  .then((answer) => oauth.processDiscoveryResponse(issuer, answer));

async function keyPair(alg) {
  const pair = await jose.generateKeyPair(alg, { extractable: true });
  const jwk = { ...(await jose.exportJWK(pair.publicKey)), kid: alg, alg, use: 'sig' };
  return { ...pair, jwk, alg };
}

function party(clientId, privateKey, kid) {
  const client = { client_id: clientId };
  return { client, privateKey, kid, auth: oauth.PrivateKeyJwt({ key: privateKey, kid }) };
}

async function withDpop(who) {
  const pair = await oauth.generateKeyPair('ES256', { extractable: true });
  return { ...who, pair, dpop: { ...insecure, DPoP: oauth.DPoP(who.client, pair) } };
}

// A server that asks for a nonce is asked again with it, as the library's documentation shows.
async function withNonce(ask) {
  try {
    return await ask();
  } catch (error) {
    if (!oauth.isDPoPNonceError(error)) throw error;
    results.nonces = 'ok';
    return ask();
  }
}

async function attempt(name, act) {
  try {
    await act();
    results[name] = 'ok';
  } catch (error) {
    const cause = error.error ?? error.cause?.[0]?.parameters?.error ?? error.message;
    results[name] = `refused: ${cause}`;
  }
}

const refused = (answer) => {
  if (answer.status >= 200 && answer.status < 400) return;
  throw Object.assign(new Error(`status ${answer.status}`), { status: answer.status });
};

const credentials = (who, auth = who.auth, options = who.dpop) =>
  withNonce(() =>
    oauth
      .clientCredentialsGrantRequest(as, who.client, auth, new URLSearchParams(config.clientScope ? { scope: config.clientScope } : {}), options)
      .then((answer) => oauth.processClientCredentialsResponse(as, who.client, answer)),
  );

async function push(who, changes = {}, auth = who.auth, options = who.dpop) {
  const verifier = oauth.generateRandomCodeVerifier();
  const parameters = new URLSearchParams({
    client_id: who.client.client_id,
    response_type: 'code',
    redirect_uri: CALLBACK,
    scope: config.scope,
    state: 'state-1',
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
  });
  for (const [name, value] of Object.entries(changes)) value === null ? parameters.delete(name) : parameters.set(name, value);
  const pushed = await withNonce(() =>
    oauth
      .pushedAuthorizationRequest(as, who.client, auth, parameters, options)
      .then((answer) => oauth.processPushedAuthorizationResponse(as, who.client, answer)),
  );
  return { verifier, parameters, requestUri: pushed.request_uri };
}

const authorizeUrl = (who, requestUri) =>
  `${as.authorization_endpoint}?${new URLSearchParams({ client_id: who.client.client_id, request_uri: requestUri })}`;

// A browser: keeps cookies, follows redirects on the server, stops at the client's address.
class Browser {
  cookies = new Map();
  async go(url, init = {}) {
    const headers = { ...(init.headers ?? {}), cookie: [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ') };
    const answer = await fetch(url, { ...init, headers, redirect: 'manual' });
    for (const line of answer.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      this.cookies.set(name, value);
    }
    const location = answer.headers.get('location');
    if (!location) return answer;
    const next = new URL(location, url);
    if (next.href.startsWith(CALLBACK)) {
      this.status = answer.status;
      return next;
    }
    return this.go(next.href);
  }
}

async function approve(who, requestUri, decision = 'approve') {
  const browser = new Browser();
  let reached = await browser.go(authorizeUrl(who, requestUri));
  if (!(reached instanceof URL) && reached.status === 200 && config.channel) {
    const page = await reached.text();
    const form = new URLSearchParams({ decision, login_statement: await login(page) });
    for (const [, name, value] of page.matchAll(/<input type="hidden" name="(\w+)" value="([^"]*)">/g)) form.set(name, value);
    reached = await browser.go(as.authorization_endpoint, { method: 'POST', body: form });
  }
  if (!(reached instanceof URL)) throw new Error(`the server answers ${reached.status} with a page`);
  results.redirect_status = String(browser.status);
  return oauth.validateAuthResponse(as, who.client, reached, 'state-1');
}

// The institution's app vouches for its member, for the code that the page shows.
async function login(page) {
  const { clientId, jwk } = config.channel;
  const challenge = /for the code ([\w-]+)/.exec(page)[1];
  return new jose.SignJWT({ challenge })
    .setProtectedHeader({ alg: 'ES256', typ: 'payhub-login+jwt' })
    .setIssuer(clientId)
    .setSubject('member-1')
    .setAudience(config.issuer)
    .setIssuedAt()
    .setExpirationTime('60s')
    .sign(await jose.importJWK(jwk, 'ES256'));
}

const exchange = (who, parameters, verifier, options = who.dpop, auth = who.auth, callback = CALLBACK) =>
  withNonce(() =>
    oauth
      .authorizationCodeGrantRequest(as, who.client, auth, parameters, callback, verifier, options)
      .then((answer) => oauth.processAuthorizationCodeResponse(as, who.client, answer)),
  );

const refresh = (who, token, options = who.dpop) =>
  withNonce(() =>
    oauth
      .refreshTokenGrantRequest(as, who.client, who.auth, token, options)
      .then((answer) => oauth.processRefreshTokenResponse(as, who.client, answer)),
  );

const introspect = (who, token) =>
  oauth
    .introspectionRequest(as, who.client, who.auth, token, insecure)
    .then((answer) => oauth.processIntrospectionResponse(as, who.client, answer));

const revoke = (who, token) =>
  oauth.revocationRequest(as, who.client, who.auth, token, insecure).then(oauth.processRevocationResponse);

const resource = (who, token, options = who.dpop) =>
  withNonce(() =>
    oauth.protectedResourceRequest(token, 'GET', new URL(config.resource), undefined, undefined, options),
  );

async function code(who, changes = {}) {
  const pushed = await push(who, changes);
  return { ...pushed, parameters: await approve(who, pushed.requestUri) };
}

async function register(pair) {
  const metadata = {
    client_name: 'Driver',
    redirect_uris: [CALLBACK],
    grant_types: ['authorization_code', 'refresh_token', 'client_credentials'],
    response_types: ['code'],
    token_endpoint_auth_method: 'private_key_jwt',
    jwks: { keys: [pair.jwk] },
    dpop_bound_access_tokens: true,
    ...(config.registration ?? {}),
    ...(config.registrationByAlg ? { token_endpoint_auth_signing_alg: pair.alg } : {}),
  };
  const options = { ...insecure, initialAccessToken: config.initialAccessToken };
  if (config.admin) {
    const key = await jose.importJWK(config.admin.jwk, 'ES256');
    const admin = await withDpop(party(config.admin.clientId, key));
    const scope = new URLSearchParams({ scope: 'clients:register' });
    const token = await withNonce(() =>
      oauth
        .clientCredentialsGrantRequest(as, admin.client, admin.auth, scope, admin.dpop)
        .then((answer) => oauth.processClientCredentialsResponse(as, admin.client, answer)),
    );
    options.initialAccessToken = token.access_token;
    options.DPoP = admin.dpop.DPoP;
  }
  const registered = await withNonce(() =>
    oauth.dynamicClientRegistrationRequest(as, metadata, options).then(oauth.processDynamicClientRegistrationResponse),
  );
  return registered.client_id;
}

async function positives(who, alg) {
  await attempt(`${alg} client credentials`, () => credentials(who));
  await attempt(`${alg} code flow`, async () => {
    const granted = await code(who);
    const tokens = await exchange(who, granted.parameters, granted.verifier);
    if (tokens.token_type !== 'dpop') throw new Error(`token type ${tokens.token_type}`);
    who.tokens = tokens;
  });
  await attempt(`${alg} refresh`, async () => {
    const tokens = await refresh(who, who.tokens.refresh_token);
    who.tokens = { ...who.tokens, access_token: tokens.access_token };
  });
}

async function states(who) {
  await attempt('introspection', async () => {
    if (!(await introspect(who, who.tokens.access_token)).active) throw new Error('inactive');
  });
  await attempt('resource', async () => {
    const token = config.resourceByClient ? (await credentials(who)).access_token : who.tokens.access_token;
    const answer = await resource(who, token);
    if (answer.status !== config.resourceStatus) throw new Error(`status ${answer.status}`);
  });
  if (config.audience) {
    await attempt('token is an RFC 9068 JWT', async () => {
      const token = (await credentials(who)).access_token;
      const proof = await proofOf(who, 'GET', config.resource, token);
      const request = new Request(config.resource, { headers: { authorization: `DPoP ${token}`, dpop: proof } });
      await oauth.validateJwtAccessToken(as, request, config.audience, insecure);
    });
  }
  await attempt('revocation', async () => {
    await revoke(who, who.tokens.refresh_token);
    if ((await introspect(who, who.tokens.refresh_token)).active) throw new Error('still active');
    if ((await introspect(who, who.tokens.access_token)).active) throw new Error('its access token is still active');
  });
}

async function proofOf(who, htm, htu, token, changes = {}, header = {}) {
  const claims = { jti: crypto.randomUUID(), htm, htu, iat: Math.floor(Date.now() / 1000) };
  if (token) claims.ath = Buffer.from(await crypto.subtle.digest('SHA-256', Buffer.from(token))).toString('base64url');
  return new jose.SignJWT({ ...claims, ...changes })
    .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk: await jose.exportJWK(who.pair.publicKey), ...header })
    .sign(who.pair.privateKey);
}

const assertionBy = (who, change) =>
  oauth.PrivateKeyJwt({ key: who.privateKey, kid: who.kid }, { [oauth.modifyAssertion]: (header, payload) => change(payload, header) });

async function assertionNegatives(who) {
  const changes = {
    'aud in an array': (said) => { said.aud = [as.issuer]; },
    'aud with a second audience': (said) => { said.aud = [as.issuer, 'https://other.example']; },
    'aud is another server': (said) => { said.aud = 'https://other.example'; },
    'assertion expired': (said) => { said.exp = said.iat - 3600; },
    'assertion of another client': (said) => { said.iss = said.sub = 'nobody'; },
    'assertion without jti': (said) => { delete said.jti; },
    'assertion without exp': (said) => { delete said.exp; },
    'iss is not sub': (said) => { said.iss = 'other'; },
    'assertion from the future': (said) => { said.nbf = said.iat + 3600; },
  };
  for (const [name, change] of Object.entries(changes)) {
    await attempt(`NEG ${name}`, () => credentials(who, assertionBy(who, change)));
  }
  const jti = crypto.randomUUID();
  await credentials(who, assertionBy(who, (said) => { said.jti = jti; }));
  await attempt('NEG assertion replayed', () => credentials(who, assertionBy(who, (said) => { said.jti = jti; })));
  const thief = await keyPair('ES256');
  await attempt('NEG assertion by another key', () => credentials(who, oauth.PrivateKeyJwt({ key: thief.privateKey, kid: who.kid })));
  await attempt('NEG no client authentication', () => credentials(who, oauth.None()));
  await attempt('NEG client secret', () => credentials(who, oauth.ClientSecretPost('secret')));
}

async function requestNegatives(who) {
  const changes = {
    'no challenge': { code_challenge: null, code_challenge_method: null },
    'plain challenge': { code_challenge_method: 'plain' },
    'no challenge method': { code_challenge_method: null },
    'foreign redirect_uri': { redirect_uri: 'https://evil.example/cb' },
    'no redirect_uri': { redirect_uri: null },
    'response_type token': { response_type: 'token' },
    'request_uri pushed': { request_uri: 'urn:ietf:params:oauth:request_uri:x' },
    'dpop_jkt of another key': { dpop_jkt: 'x'.repeat(43) },
  };
  for (const [name, change] of Object.entries(changes)) await attempt(`NEG ${name}`, () => push(who, change));
  await attempt('NEG pushed without client authentication', () => push(who, {}, oauth.None()));
  await attempt('NEG request that was not pushed', async () => {
    const { parameters } = await push(who);
    const reached = await new Browser().go(`${as.authorization_endpoint}?${parameters}`);
    if (reached instanceof URL) oauth.validateAuthResponse(as, who.client, reached, 'state-1');
    else refused(reached);
  });
  await attempt('NEG request_uri used again', async () => {
    const { requestUri } = await push(who);
    await approve(who, requestUri);
    await approve(who, requestUri);
  });
  await attempt('NEG request_uri of another client', async () => {
    const { requestUri } = await push(who);
    await approve({ ...who, client: { client_id: config.otherClientId ?? 'nobody' } }, requestUri);
  });
}

async function codeNegatives(who) {
  let held = await code(who);
  const other = await withDpop(who);
  await attempt('NEG exchange without proof', () => exchange(who, held.parameters, held.verifier, insecure));
  held = await code(who);
  await attempt('NEG exchange with another key', () => exchange(who, held.parameters, held.verifier, other.dpop));
  held = await code(who);
  await attempt('NEG exchange with another verifier', () => exchange(who, held.parameters, 'x'.repeat(43)));
  held = await code(who);
  await attempt('NEG exchange with another redirect_uri', () => exchange(who, held.parameters, held.verifier, who.dpop, who.auth, CALLBACK + '2'));
  held = await code(who);
  await exchange(who, held.parameters, held.verifier);
  await attempt('NEG code used again', () => exchange(who, held.parameters, held.verifier));
}

async function tokenNegatives(who) {
  const held = await code(who);
  const tokens = await exchange(who, held.parameters, held.verifier);
  await attempt('NEG refresh without proof', () => refresh(who, tokens.refresh_token, insecure));
  await attempt('NEG refresh with no token of ours', () => refresh(who, 'nonsense'));
  await attempt('NEG client credentials without proof', () => credentials(who, who.auth, insecure));
  const token = config.resourceByClient ? (await credentials(who)).access_token : tokens.access_token;
  const call = async (scheme, proof) =>
    refused(await fetch(config.resource, { headers: { authorization: `${scheme} ${token}`, ...(proof ? { dpop: proof } : {}) } }));
  const htu = config.resource;
  await attempt('NEG bound token as Bearer', () => call('Bearer'));
  await attempt('NEG bound token without proof', () => call('DPoP'));
  await attempt('NEG proof by another key', async () => call('DPoP', await proofOf(await withDpop(who), 'GET', htu, token)));
  await attempt('NEG proof for another method', async () => call('DPoP', await proofOf(who, 'POST', htu, token)));
  await attempt('NEG proof for another address', async () => call('DPoP', await proofOf(who, 'GET', htu + 'x', token)));
  await attempt('NEG proof for another token', async () => call('DPoP', await proofOf(who, 'GET', htu, token + 'x')));
  await attempt('NEG proof for no token', async () => call('DPoP', await proofOf(who, 'GET', htu)));
  await attempt('NEG old proof', async () => call('DPoP', await proofOf(who, 'GET', htu, token, { iat: Math.floor(Date.now() / 1000) - 3600 })));
  await attempt('NEG proof of another type', async () => call('DPoP', await proofOf(who, 'GET', htu, token, {}, { typ: 'JWT' })));
  await attempt('NEG token in the query', async () => refused(await fetch(`${config.resource}?access_token=${token}`)));
  await attempt('NEG altered token', async () =>
    refused(await fetch(config.resource, { headers: { authorization: `DPoP ${token.slice(0, -6)}AAAAAA`, dpop: await proofOf(who, 'GET', htu, token.slice(0, -6) + 'AAAAAA') } })));
  const proof = await proofOf(who, 'GET', htu, token);
  await fetch(config.resource, { headers: { authorization: `DPoP ${token}`, dpop: proof } });
  await attempt('NEG proof replayed', () => call('DPoP', proof));
}

let last;
for (const alg of ALGORITHMS) {
  const pair = await keyPair(alg);
  await attempt(`${alg} registration`, async () => {
    last = await withDpop(party(await register(pair), pair.privateKey, pair.jwk.kid));
    await positives(last, alg);
  });
}
await states(last);
if (config.negatives) {
  for (const group of [assertionNegatives, requestNegatives, codeNegatives, tokenNegatives]) await group(last);
}
process.stdout.write(JSON.stringify(results));
