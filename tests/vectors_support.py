"""The files of the package cryptography_vectors, as cases."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from casemate.engine.keys import SPECS, Material, load

CURVES: dict[str, tuple[str, ec.EllipticCurve]] = {
    "P-256": ("ECC_NIST_P256", ec.SECP256R1()),
    "P-384": ("ECC_NIST_P384", ec.SECP384R1()),
    "P-521": ("ECC_NIST_P521", ec.SECP521R1()),
    "K-256": ("ECC_SECG_P256K1", ec.SECP256K1()),
}


def text(path: str) -> str:
    return files("cryptography_vectors").joinpath(*path.split("/")).read_text()


def cases(path: str, last: str) -> Iterator[dict[str, str]]:
    """The cases of a file of NIST's form, "name = value" by line. last: the name that ends a case. What stands before
    it counts on (n, e), as does the latest "[section]"."""
    known: dict[str, str] = {}
    for line in text(path).splitlines():
        if line.startswith("["):
            known["section"] = line.strip("[] ")
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        if line.startswith("#") or not equals:
            continue
        known[name] = value
        if name == last:
            yield dict(known)


def labelled(path: str) -> Iterator[tuple[str, str]]:
    """The pairs of a file of RSA Security's form: a "# Label:" and hexadecimal digits in the lines that follow."""
    label, digits = "", ""
    for line in [*text(path).splitlines(), "#"]:
        if line.startswith("#"):
            if digits:
                yield label, digits
            label, digits = line.strip("# ").rstrip(":"), ""
        elif label:
            digits += line.replace(" ", "").strip()


def number(digits: str) -> int:
    return int(digits, 16)


def verifier(
    spec: str,
    public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey,
) -> Material:
    """Only the public half of a key, for vectors that do not tell the private one."""
    material = Material.__new__(Material)
    material.spec = SPECS[spec]
    material.id = ""
    material.secret = b""
    material._pair = (None, public)
    return material


def rsa_verifier(n: str, e: str) -> Material:
    """Of whatever size: a material is not asked for its key's."""
    return verifier("RSA_2048", rsa.RSAPublicNumbers(number(e), number(n)).public_key())


def ec_verifier(curve: str, x: str, y: str) -> Material:
    spec, parameters = CURVES[curve]
    return verifier(spec, ec.EllipticCurvePublicNumbers(number(x), number(y), parameters).public_key())


def pkcs8(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def spki(public: rsa.RSAPublicKey | ec.EllipticCurvePublicKey) -> bytes:
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def ec_material(curve: str, scalar: str) -> Material:
    spec, parameters = CURVES[curve]
    return load(spec, pkcs8(ec.derive_private_key(number(scalar), parameters)))


def rsa_material(n: str, e: str, d: str, p: str, q: str) -> Material:
    numbers = rsa.RSAPrivateNumbers(
        p=number(p),
        q=number(q),
        d=number(d),
        dmp1=number(d) % (number(p) - 1),
        dmq1=number(d) % (number(q) - 1),
        iqmp=pow(number(q), -1, number(p)),
        public_numbers=rsa.RSAPublicNumbers(number(e), number(n)),
    )
    stored = pkcs8(numbers.private_key(unsafe_skip_rsa_key_validation=True))
    return load("RSA_2048", stored)
