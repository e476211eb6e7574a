# SPDX-License-Identifier: MIT
"""Accounts of a nats-server whose users show a JWT: an operator, an account with JetStream, and the file of credentials of a user. Keys and
signatures are openssl's."""
import base64
import binascii
import hashlib
import json
import os
import subprocess
import time

PREFIX = {"operator": 14 << 3, "account": 0, "user": 20 << 3}
SEED = 18 << 3
ALL = dict.fromkeys(("subs", "data", "payload", "imports", "exports", "conn", "leaf"), -1)
JETSTREAM = dict.fromkeys(("mem_storage", "disk_storage", "streams", "consumer"), -1)


def in_text(data):
    return base64.b32encode(data + binascii.crc_hqx(data, 0).to_bytes(2, "little")).decode().rstrip("=")


def in_url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Key:
    def __init__(self, folder, kind, name):
        self.kind, self.name, self.file = kind, name, os.path.join(folder, name + ".pem")
        self.openssl("genpkey", "-algorithm", "ed25519", "-out", self.file)
        raw = [self.openssl("pkey", "-in", self.file, "-outform", "DER", *more)[-32:] for more in ((), ("-pubout",))]
        prefix = PREFIX[kind]
        self.public = in_text(bytes([prefix]) + raw[1])
        self.seed = in_text(bytes([SEED | prefix >> 5, (prefix & 31) << 3]) + raw[0])

    @staticmethod
    def openssl(*words):
        return subprocess.run(["openssl", *words], stdout=subprocess.PIPE, check=True).stdout

    def sign(self, key, **nats):
        """What this one says of another key."""
        claims = {"iat": int(time.time()), "iss": self.public, "sub": key.public, "name": key.name, "nats": {"type": key.kind, "version": 2, **nats}}
        claims["jti"] = base64.b32encode(hashlib.sha256(json.dumps(claims).encode()).digest()).decode().rstrip("=")
        text = ".".join(in_url(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ed25519-nkey"}, claims))
        said = self.file + ".said"
        with open(said, "w") as file:
            file.write(text)
        return text + "." + in_url(self.openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.file, "-in", said))


def write_credentials(folder, account, name):
    user = Key(folder, "user", name)
    path = os.path.join(folder, name + ".creds")
    with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(f"-----BEGIN NATS USER JWT-----\n{account.sign(user, subs=-1, data=-1, payload=-1)}\n------END NATS USER JWT------\n\n"
                   f"-----BEGIN USER NKEY SEED-----\n{user.seed}\n------END USER NKEY SEED------\n")
    return path


def accounts(folder):
    """The settings of the server, credentials that it knows, and credentials of an account that it does not know."""
    operator, system, account, other = (Key(folder, *of) for of in
                                        (("operator", "operator"), ("account", "system"), ("account", "orders"), ("account", "other")))
    settings = {"operator": operator.sign(operator), "system_account": system.public, "resolver": "MEMORY",
                "resolver_preload": {system.public: operator.sign(system, limits=ALL), account.public: operator.sign(account, limits=ALL | JETSTREAM)}}
    return settings, write_credentials(folder, account, "known"), write_credentials(folder, other, "unknown")
