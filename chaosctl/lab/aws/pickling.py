"""moto's objects as bytes: one graph, because services hold references into each other."""

from __future__ import annotations

import io
import pickle
import threading
from typing import Any

import cloudpickle
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from moto.ssm.models import ParameterDict

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey

LOCK = type(threading.Lock())
RLOCK = type(threading.RLock())


def dumps(graph: object) -> bytes:
    """Pickle `graph`, with what Python cannot pickle by itself: locks, keys, certificates, parameters of SSM."""
    buffer = io.BytesIO()
    _Pickler(buffer, protocol=5).dump(graph)
    return buffer.getvalue()


def loads(data: bytes) -> Any:
    """The graph again. Raises whatever damaged data make pickle raise. Only for files that this lab wrote itself."""
    return pickle.loads(data)  # noqa: S301


class _Pickler(cloudpickle.Pickler):
    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, LOCK):
            return threading.Lock, ()
        if isinstance(obj, RLOCK):
            return threading.RLock, ()
        if isinstance(obj, PrivateKey):
            return _key, (_pem(obj),)
        if isinstance(obj, x509.Certificate):
            return _certificate, (obj.public_bytes(serialization.Encoding.PEM),)
        if isinstance(obj, ParameterDict):
            return _parameters, (dict(obj), dict(obj.__dict__))
        return super().reducer_override(obj)


def _pem(key: PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _key(pem: bytes) -> Any:
    return serialization.load_pem_private_key(pem, None)


def _certificate(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def _parameters(items: dict[str, Any], attributes: dict[str, Any]) -> ParameterDict:
    parameters = ParameterDict(attributes["account_id"], attributes["region_name"])
    parameters.__dict__.update(attributes)
    dict.update(parameters, items)
    return parameters
