"""Attestation documents of AWS Nitro enclaves and NitroTPM, and ciphertexts that only the attested can open.

::

    document.py       verify(): from bytes to an Attestation, or BadAttestation
      cbor.py         the subset of CBOR that a document consists of, bounded
      certificates.py the chain from the document's certificate to a trusted root
    cms.py            envelop(): a CMS EnvelopedData for the document's public key, as AWS KMS writes it
    issuing.py        what the Nitro system does: makes a root, and signs documents under it. For tests

Nothing that stands in a document is believed before its signature was verified by a certificate whose chain ends at a
root that the operator has configured. Every chain is of one kind, as AWS's is: ECDSA on P-384 with SHA-384.

Sources: "Nitro Enclaves Attestation Process" (aws-nitro-enclaves-nsm-api), "Validate a NitroTPM Attestation
Document", RFC 9052 (COSE_Sign1), RFC 5280 (certificates), RFC 5652 (CMS).

The package is pure: time, roots and keys are given, and nothing is read or written.
"""
