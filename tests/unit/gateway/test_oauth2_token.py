import base64
import json
from typing import Any

import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry
from unit.gateway.gateway_kit import ISSUER, NOW_S, Gateway, assert_problem, assertion, oauth_client, transfer

from payhub_platform.contracts.tenant import OAuthClient

CLIENT = "buffalo-ussd"


def assert_oauth_error(answer: Any, error: str, status: int = 400) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.text
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    description = answer.json().get("error_description", "")
    assert all(" " <= c <= "~" and c not in '"\\' for c in description)


def forged(header: dict[str, Any], payload: Any, signature: bytes = b"x") -> str:
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def claims(**changes: Any) -> dict[str, Any]:
    good = {"iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "iat": NOW_S, "exp": NOW_S + 60, "jti": "j"}
    return {**good, **changes}


async def test_a_token_says_what_rfc_9068_wants(gateway: Gateway):
    answer = await gateway.ask_token(assertion(gateway.keys[CLIENT], CLIENT))
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    given = answer.json()
    assert (given["token_type"], given["expires_in"]) == ("Bearer", 300)
    assert given["scope"] == "payments:write payments:read"
    published = (await gateway.client.get("/oauth2/jwks")).json()["keys"][0]
    assert "d" not in published
    read = jwt.decode(given["access_token"], ECKey.import_key(published), algorithms=["ES256"])
    assert read.header == {"alg": "ES256", "typ": "at+jwt", "kid": published["kid"]}
    assert published["kid"] == gateway.parts.signing_keys.signing().thumbprint()
    jti = read.claims.pop("jti")
    assert jti
    assert read.claims == {
        "iss": ISSUER,
        "aud": ISSUER + "/channel",
        "sub": CLIENT,
        "client_id": CLIENT,
        "tenant": "buffalo",
        "scope": "payments:write payments:read",
        "iat": NOW_S,
        "exp": NOW_S + 300,
    }


@pytest.mark.parametrize(
    ("alg", "key"),
    [
        ("ES256", ECKey.generate_key("P-256")),
        ("PS256", RSAKey.generate_key(2048)),
        ("Ed25519", OKPKey.generate_key("Ed25519")),
    ],
)
async def test_accepted_algorithms(gateway: Gateway, alg: str, key: Key):
    gateway.put_tenant("buffalo", clients=[oauth_client("c", key)])
    assert (await gateway.ask_token(assertion(key, "c", alg))).status_code == 200


async def test_the_old_name_of_ed25519_is_accepted(gateway: Gateway):
    key = OKPKey.generate_key("Ed25519")
    gateway.put_tenant("buffalo", clients=[oauth_client("c", key)])

    class Unwarned(JWSRegistry):
        algorithms = {"EdDSA": JWSRegistry.algorithms["Ed25519"]}

    said = {**claims(), "iss": "c", "sub": "c"}
    signed = jwt.encode({"alg": "EdDSA"}, said, key, registry=Unwarned(algorithms=["EdDSA"]))
    assert (await gateway.ask_token(signed)).status_code == 200


async def test_rs256_is_refused(gateway: Gateway):
    key = RSAKey.generate_key(2048)
    gateway.put_tenant("buffalo", clients=[oauth_client("c", key)])
    assert_oauth_error(await gateway.ask_token(assertion(key, "c", "RS256")), "invalid_client")


async def test_hs256_with_the_public_key_as_secret_is_refused(gateway: Gateway):
    public = gateway.keys[CLIENT].as_pem(private=False)
    signed = assertion(OctKey.import_key(base64.b64encode(public)), CLIENT, "HS256")
    assert_oauth_error(await gateway.ask_token(signed), "invalid_client")


async def test_an_unsigned_assertion_is_refused(gateway: Gateway):
    for alg in ("none", "ES256"):
        answer = await gateway.ask_token(forged({"alg": alg}, claims(), b""))
        assert_oauth_error(answer, "invalid_client")


@pytest.mark.filterwarnings("ignore:Key size should be")
async def test_a_weak_rsa_key_is_refused(gateway: Gateway):
    key = RSAKey.generate_key(1024)
    gateway.put_tenant("buffalo", clients=[oauth_client("c", key)])
    assert_oauth_error(await gateway.ask_token(assertion(key, "c", "PS256")), "invalid_client")


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ISSUER + "/oauth2/token"},
        {"aud": [ISSUER]},
        {"aud": [ISSUER, "https://other.example"]},
        {"aud": "https://other.example"},
        {"aud": None},
        {"exp": NOW_S - 11},
        {"exp": None},
        {"exp": float("nan")},
        {"exp": "soon"},
        {"iat": NOW_S - 311, "exp": NOW_S + 60},
        {"iat": NOW_S + 11},
        {"iat": None},
        {"iat": float("nan")},
        {"nbf": NOW_S + 11},
        {"jti": None},
        {"jti": ""},
        {"jti": "x" * 129},
        {"jti": 5},
        {"iss": "lion-app"},
        {"iss": None},
        {"sub": None},
        {"sub": ["buffalo-ussd"]},
        {"sub": "nobody", "iss": "nobody"},
    ],
)
async def test_claims_that_do_not_hold(gateway: Gateway, changes: dict[str, Any]):
    signed = assertion(gateway.keys[CLIENT], CLIENT, **changes)
    assert_oauth_error(await gateway.ask_token(signed), "invalid_client")


async def test_a_little_clock_skew_is_allowed(gateway: Gateway):
    for changes in ({"iat": NOW_S + 10}, {"exp": NOW_S - 9}, {"iat": NOW_S - 300}):
        signed = assertion(gateway.keys[CLIENT], CLIENT, **changes)
        assert (await gateway.ask_token(signed)).status_code == 200


async def test_a_replayed_assertion_is_refused_as_long_as_it_would_be_good(gateway: Gateway):
    signed = assertion(gateway.keys[CLIENT], CLIENT, iat=NOW_S + 10, exp=NOW_S + 86_400)
    assert (await gateway.ask_token(signed)).status_code == 200
    for wait_s in (0, 300, 19, 1, 1):
        gateway.clock.advance(wait_s)
        assert_oauth_error(await gateway.ask_token(signed), "invalid_client")


async def test_a_key_of_another_tenants_client_is_refused(gateway: Gateway):
    signed = assertion(gateway.keys["lion-app"], CLIENT)
    assert_oauth_error(await gateway.ask_token(signed), "invalid_client")


async def test_client_id_beside_the_assertion_must_agree(gateway: Gateway):
    signed = assertion(gateway.keys[CLIENT], CLIENT)
    assert_oauth_error(await gateway.ask_token(signed, client_id="lion-app"), "invalid_client")
    signed = assertion(gateway.keys[CLIENT], CLIENT)
    assert (await gateway.ask_token(signed, client_id=CLIENT)).status_code == 200


@pytest.mark.parametrize("scope", ["admin", "payments:read admin", "payments:write"])
async def test_a_scope_the_client_does_not_have_is_refused(gateway: Gateway, scope: str):
    signed = assertion(gateway.keys["buffalo-reader"], "buffalo-reader")
    assert_oauth_error(await gateway.ask_token(signed, scope=scope), "invalid_scope")


async def test_a_smaller_scope_is_granted(gateway: Gateway):
    signed = assertion(gateway.keys[CLIENT], CLIENT)
    answer = await gateway.ask_token(signed, scope="payments:read")
    assert answer.json()["scope"] == "payments:read"


async def test_a_suspended_tenant_gets_tokens_to_read_alone(gateway: Gateway):
    gateway.put_tenant("buffalo", status="suspended")
    answer = await gateway.ask_token(assertion(gateway.keys[CLIENT], CLIENT))
    assert (answer.status_code, answer.json()["scope"]) == (200, "payments:read")
    signed = assertion(gateway.keys[CLIENT], CLIENT)
    assert_oauth_error(await gateway.ask_token(signed, scope="payments:write"), "unauthorized_client")
    buffalo = gateway.parts.directory.get("buffalo")
    assert buffalo is not None
    writers = [msgspec.structs.replace(client, scopes=["payments:write"]) for client in buffalo.clients]
    gateway.put_tenant("buffalo", clients=writers)
    signed = assertion(gateway.keys[CLIENT], CLIENT)
    assert_oauth_error(await gateway.ask_token(signed), "unauthorized_client")


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "x",
        "a.b.c",
        "é.é.é",
        "a" * 9000,
        forged({"alg": "ES256"}, ["not", "an", "object"]),
        forged({"alg": ["ES256"]}, claims()),
        forged({"alg": "ES256", "crit": ["b64"], "b64": False}, claims()),
        forged({"typ": "JWT"}, claims()),
        "W10." * 2 + "x",
        base64.urlsafe_b64encode(b"[" * 3000).rstrip(b"=").decode() + ".e30.x",
    ],
)
async def test_what_is_no_assertion(gateway: Gateway, sent: str):
    assert_oauth_error(await gateway.ask_token(sent), "invalid_client")


async def test_no_assertion_at_all(gateway: Gateway):
    form = {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": "s"}
    answer = await gateway.client.post("/oauth2/token", data=form)
    assert_oauth_error(answer, "invalid_client")


@pytest.mark.parametrize("grant", ["password", "implicit", 'x"\\é'])
async def test_other_grants_are_not_supported(gateway: Gateway, grant: str):
    signed = assertion(gateway.keys[CLIENT], CLIENT)
    answer = await gateway.ask_token(signed, grant_type=grant)
    assert_oauth_error(answer, "unsupported_grant_type")


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"{}", "application/json"),
        (b"grant_type=a&grant_type=b", "application/x-www-form-urlencoded"),
        (b"\xff", "application/x-www-form-urlencoded"),
        (b"&".join(b"p%d=1" % i for i in range(30)), "application/x-www-form-urlencoded"),
        (b"", "application/x-www-form-urlencoded"),
        (b"grant_type=", "application/x-www-form-urlencoded"),
    ],
)
async def test_a_form_that_cannot_be_read(gateway: Gateway, body: bytes, media_type: str):
    answer = await gateway.client.post("/oauth2/token", content=body, headers={"Content-Type": media_type})
    assert_oauth_error(answer, "invalid_request")


async def test_a_client_whose_keys_cannot_be_read_is_refused(gateway: Gateway):
    broken = [OAuthClient(client_id="c", name="c", jwks=jwks, scopes=["payments:read"]) for jwks in BROKEN]
    for client in broken:
        gateway.put_tenant("buffalo", clients=[client])
        signed = assertion(gateway.keys[CLIENT], "c")
        assert_oauth_error(await gateway.ask_token(signed), "invalid_client")


BROKEN: list[dict[str, Any]] = [
    {},
    {"keys": []},
    {"keys": ["x"]},
    {"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]},
    {"keys": [{"kty": "EC", "crv": "nonsense", "x": "AA", "y": "AA"}]},
]


async def test_tokens_of_others_are_refused(gateway: Gateway):
    ours = gateway.parts.signing_keys.signing()
    good = {
        "iss": ISSUER,
        "aud": ISSUER + "/channel",
        "sub": CLIENT,
        "client_id": CLIENT,
        "tenant": "buffalo",
        "scope": "payments:write",
        "iat": NOW_S,
        "exp": NOW_S + 300,
        "jti": "j",
    }
    header = {"alg": "ES256", "typ": "at+jwt", "kid": ours.thumbprint()}

    def signed(key: Key = ours, head: dict[str, Any] = header, **changes: Any) -> str:
        return jwt.encode(head, {**good, **changes}, key, registry=JWSRegistry(algorithms=[head["alg"]]))

    secret = OctKey.import_key(base64.b64encode(ours.as_pem(private=False)))
    bad = [
        signed(ECKey.generate_key("P-256")),
        signed(head={**header, "typ": "JWT"}),
        signed(head={**header, "kid": "other"}),
        signed(secret, {**header, "alg": "HS256"}),
        signed(iss="https://other.example"),
        signed(aud=ISSUER),
        signed(aud=[ISSUER + "/channel"]),
        signed(exp="never"),
        signed(tenant=None),
        forged({**header, "alg": "none"}, good, b""),
        signed()[:-4] + "AAAA",
    ]
    assert (await gateway.send(transfer(), signed())).status_code == 202
    for token in bad:
        assert_problem(await gateway.send(transfer(), token), 401, "invalid-token", "header:Authorization")


async def test_metadata_names_what_is_served(gateway: Gateway):
    told = (await gateway.client.get("/.well-known/oauth-authorization-server")).json()
    assert told["issuer"] == ISSUER
    assert told["token_endpoint"] == ISSUER + "/oauth2/token"
    assert "private_key_jwt" in told["token_endpoint_auth_methods_supported"]
    algorithms = told["token_endpoint_auth_signing_alg_values_supported"]
    assert not {"RS256", "HS256", "none"} & set(algorithms)
    assert told["response_types_supported"] == ["code"]
