"""The Transit secrets engine of HashiCorp Vault over HTTP, as far as payhub uses it, with keys in memory.

It does what Vault does, the unwelcome parts too: encrypting with a key that is not there makes one for
whoever may create, and a key is deleted only where its configuration allows it.
"""

import base64
import json
import os
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class TransitServer:
    """``token`` is the one that is let in; ``is_sealed`` answers as a sealed Vault does."""

    def __init__(self, token: str, mount: str = "transit") -> None:
        self.token = token
        self.keys: dict[str, AESGCM] = {}
        self.deletable: set[str] = set()
        self.is_sealed = False
        self.calls: list[str] = []
        self.fails_at = ""  # the call, such as "DELETE keys/x", that breaks the connection
        self._prefix = f"/v1/{mount}/"

    def application(self) -> web.Application:
        application = web.Application()
        application.router.add_route("*", "/{rest:.*}", self.serve)
        return application

    async def serve(self, request: web.Request) -> web.Response:
        if self.is_sealed:
            return _errors(503, "Vault is sealed")
        if request.headers.get("X-Vault-Token") != self.token:
            return _errors(403, "permission denied")
        if not request.path.startswith(self._prefix):
            return _errors(404, f'no handler for route "{request.path}". route entry not found.')
        rest = request.path.removeprefix(self._prefix)
        self.calls.append(f"{request.method} {rest}")
        if self.fails_at == self.calls[-1]:
            assert request.transport is not None
            request.transport.close()
        what, _, name = rest.partition("/")
        content = json.loads(await request.read() or b"{}")
        if name.endswith("/config"):
            what, name = "config", name.removesuffix("/config")
        handlers = {
            ("POST", "encrypt"): self._encrypt,
            ("POST", "decrypt"): self._decrypt,
            ("POST", "config"): self._configure,
            ("POST", "keys"): self._create,
            ("GET", "keys"): self._read,
            ("DELETE", "keys"): self._delete,
        }
        return handlers[request.method, what](name, content)

    def _create(self, name: str, content: dict[str, Any]) -> web.Response:
        assert content["type"] == "aes256-gcm96"
        self.keys.setdefault(name, AESGCM(os.urandom(32)))
        return web.Response(status=204)

    def _read(self, name: str, _content: dict[str, Any]) -> web.Response:
        return _data({"name": name}) if name in self.keys else _errors(404)

    def _encrypt(self, name: str, content: dict[str, Any]) -> web.Response:
        cipher = self.keys.setdefault(name, AESGCM(os.urandom(32)))  # upsert
        nonce = os.urandom(12)
        sealed = nonce + cipher.encrypt(nonce, base64.b64decode(content["plaintext"], validate=True), None)
        return _data({"ciphertext": f"vault:v1:{base64.b64encode(sealed).decode()}", "key_version": 1})

    def _decrypt(self, name: str, content: dict[str, Any]) -> web.Response:
        ciphertext = content["ciphertext"]
        if name not in self.keys:
            return _errors(400, "encryption key not found")
        if not ciphertext.startswith("vault:v1:"):
            return _errors(400, "invalid ciphertext: no prefix")
        sealed = base64.b64decode(ciphertext.removeprefix("vault:v1:"))
        try:
            plain = self.keys[name].decrypt(sealed[:12], sealed[12:], None)
        except InvalidTag:
            return _errors(400, "cipher: message authentication failed")
        return _data({"plaintext": base64.b64encode(plain).decode()})

    def _configure(self, name: str, content: dict[str, Any]) -> web.Response:
        if content.get("deletion_allowed"):
            self.deletable.add(name)
        return web.Response(status=204)

    def _delete(self, name: str, _content: dict[str, Any]) -> web.Response:
        if name not in self.keys:
            return _errors(400, f"error deleting policy {name}: could not delete key; not found")
        if name not in self.deletable:
            return _errors(400, f"error deleting policy {name}: deletion is not allowed for this key")
        del self.keys[name]
        self.deletable.discard(name)
        return web.Response(status=204)


def _data(data: dict[str, object]) -> web.Response:
    return web.json_response({"request_id": "r", "data": data})


def _errors(status: int, *errors: str) -> web.Response:
    return web.json_response({"errors": [*errors]}, status=status)
