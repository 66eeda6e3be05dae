// An OpenID Connect provider for tests. Arguments: PORT CLIENT_ID CLIENT_SECRET REDIRECT_URI...
//
// It logs anyone in without asking for a password: the account is what is typed as the log-in name. Accounts and what it
// should do wrong are told by POST /test/..., which no real provider has.
import { generateKeyPairSync, randomUUID, createPrivateKey } from 'node:crypto';
import { createServer } from 'node:http';
import { Provider } from 'oidc-provider';
import { SignJWT, UnsecuredJWT, decodeJwt } from 'jose';

const [port, clientId, clientSecret, ...redirectUris] = process.argv.slice(1);
const issuer = `http://127.0.0.1:${port}`;
const accounts = new Map();
// What the next answers say otherwise: claims of the ID token and of the user info, and how the ID token is signed.
const right = { id_token: null, userinfo: {}, signature: 'own key' };
let wrong = right;
let key, handler;

function newKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), alg: 'RS256', use: 'sig' };
}

// A provider with a new key. What was begun goes on: sessions and codes are kept in this process, not in the provider.
function start() {
  key = newKey();
  const provider = new Provider(issuer, {
    clients: [{ client_id: clientId, client_secret: clientSecret, redirect_uris: redirectUris }],
    jwks: { keys: [key] },
    cookies: { keys: ['only for tests'] },
    // E-mail address, names and groups stand in the user info alone.
    claims: { openid: ['sub'], profile: ['name', 'preferred_username'], email: ['email', 'email_verified'], groups: ['groups', 'roles'] },
    pkce: { required: () => true },
    features: { devInteractions: { enabled: true } },
    findAccount: (ctx, id) => ({ accountId: id, claims: () => ({ ...accounts.get(id), sub: id }) }),
  });
  provider.use(async (ctx, next) => {
    await next();
    if (ctx.path === '/token' && ctx.body?.id_token && wrong.id_token) {
      ctx.body.id_token = await sign({ ...decodeJwt(ctx.body.id_token), ...wrong.id_token });
    }
    if (ctx.path === '/me' && ctx.body?.sub) Object.assign(ctx.body, wrong.userinfo);
  });
  handler = provider.callback();
}

function sign(claims) {
  if (wrong.signature === 'none') return new UnsecuredJWT(claims).encode();
  if (wrong.signature === 'client secret') {
    return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(new TextEncoder().encode(clientSecret));
  }
  const signed = new SignJWT(claims).setProtectedHeader({ alg: key.alg, kid: key.kid });
  return signed.sign(createPrivateKey({ key: wrong.signature === 'other key' ? newKey() : key, format: 'jwk' }));
}

async function control(path, body) {
  if (path === '/test/rotate') start();
  else if (path === '/test/account') accounts.set(body.sub, body);
  else if (path === '/test/wrong') wrong = { ...right, ...body };
  else return 404;
  return 204;
}

start();
createServer(async (request, response) => {
  if (!request.url.startsWith('/test/')) return handler(request, response);
  let text = '';
  for await (const piece of request) text += piece;
  response.writeHead(await control(request.url, text ? JSON.parse(text) : {})).end();
}).listen(Number(port), '127.0.0.1');
