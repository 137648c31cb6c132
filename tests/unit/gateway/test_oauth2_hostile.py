"""Seeded nonsense at every endpoint of OAuth2: refused by name, never an error of the server's own."""

import random
from pathlib import Path
from typing import Any

import pytest
from unit.gateway.oauth2_kit import CALLBACK, Client, House, house_of

REQUESTS = 120
PATHS = "/oauth2/token /oauth2/par /oauth2/introspect /oauth2/revoke /oauth2/authorize".split()
NAMES = (
    "grant_type code redirect_uri code_verifier refresh_token scope state response_type code_challenge "
    "code_challenge_method authorization_details client_id request_uri request dpop_jkt token "
    "token_type_hint response_mode decision csrf login_statement client_assertion client_assertion_type "
    "nonce prompt"
).split()
GRANTS = "client_credentials authorization_code refresh_token".split()
TEXTS = ["", "x", "é", "\x00", "🙂", "a" * 5000, "[]", "{}", "null", "%", "'\"<>\\", "1e999", " ", "true"]
TEXTS += ["urn:ietf:params:oauth:request_uri:x", CALLBACK, "S256", "code", "payments:read"]
ALMOST = {
    "response_type": "code",
    "redirect_uri": CALLBACK,
    "code_challenge": "v" * 43,
    "code_challenge_method": "S256",
}
METADATA = (
    "redirect_uris jwks grant_types scope client_name software_statement jwks_uri response_types "
    "token_endpoint_auth_method dpop_bound_access_tokens software_id"
).split()
VALUES: list[Any] = [
    None,
    1,
    [],
    {},
    "x",
    [None],
    True,
    1e300,
    {"keys": [1]},
    {"keys": [{}]},
    ["https://a.example/"],
]


async def send(chance: random.Random, client: Client) -> Any:
    form = {name: chance.choice(TEXTS) for name in chance.sample(NAMES, chance.randint(0, 6))}
    path = chance.choice(PATHS)
    if chance.random() < 0.7:
        form.setdefault("grant_type", chance.choice(GRANTS))
    if chance.random() < 0.3:
        form = {**form, **ALMOST, chance.choice(NAMES): chance.choice(TEXTS)}
    if path == "/oauth2/authorize" and chance.random() < 0.5:
        return await client.http.get(path, params=form)
    readable = [text for text in TEXTS if text.isascii() and text.isprintable()]
    headers = {"DPoP": chance.choice(readable)} if chance.random() < 0.2 else {}
    return await client.post(path, form, headers=headers, dpop=chance.random() < 0.5)


@pytest.mark.parametrize("seed", range(4))
async def test_forms_of_nonsense(tmp_path: Path, seed: int):
    chance = random.Random(seed)
    async with house_of(tmp_path) as house:
        clients = [await house.tpp(), house.client("buffalo-admin")]
        answers = [await send(chance, chance.choice(clients)) for _ in range(REQUESTS)]
    # 414: a query that is longer than any is refused unread.
    assert {answer.status_code for answer in answers} <= {200, 201, 400, 414}
    assert sum(answer.status_code == 400 for answer in answers) > REQUESTS / 2


@pytest.mark.parametrize("seed", range(2))
async def test_metadata_of_nonsense(tmp_path: Path, seed: int):
    chance = random.Random(seed)
    async with house_of(tmp_path) as house:
        answers = await register_all(house, chance)
    assert {answer.status_code for answer in answers} <= {201, 400}
    assert sum(answer.status_code == 400 for answer in answers) > REQUESTS / 2


async def register_all(house: House, chance: random.Random) -> list[Any]:
    admin = house.client("buffalo-admin")
    token = (await admin.token(scope="clients:register")).json()["access_token"]
    good = {"keys": [admin.key.as_dict(private=False)]}
    answers = []
    for _ in range(REQUESTS):
        body = {name: chance.choice(VALUES) for name in chance.sample(METADATA, chance.randint(0, 5))}
        if chance.random() < 0.5:
            body["jwks"] = good
        answers.append(await admin.call("POST", "/oauth2/register", token, json=body))
    return answers
