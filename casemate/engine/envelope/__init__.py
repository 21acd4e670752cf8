"""The envelope: how Casemate seals what it keeps, from the operator's seal down to a client's ciphertext.

::

    Seal (seals.py: key file, passphrase, PKCS#11)
      wraps the root key (hierarchy.RootKey), unwrapped once, at start
        derives a key for each purpose (session tokens, the journal's segment keys, ...)
        wraps one key per account and version (hierarchy.AccountKey)
          wraps key material (KMS backing keys, data keys of objects and segments, secrets)
            KMS messages (message.py): a key of its own for each message
            framed bodies (frames.py): a data key of its own for each body, counted nonces

Storage is untrusted. Whatever is wrapped is bound (as additional authenticated data) to what it is, whose it
is and which version it is, in an encoding in which two different lists of fields never look the same
(encoding.py), so an altered row and a row moved to another place are both detected.

**Bounds.** Everything is AES-256-GCM. With random 96-bit nonces one key is good for 2^32 messages (NIST
SP 800-38D, 8.3), which a busy key passes in a day. So no long-lived key ever encrypts anything itself:

- a wrap and a KMS message use a key derived from the long-lived key and 16 random bytes by SP 800-108 in
  counter mode with HMAC-SHA-256 (derivation.py), and a random 96-bit nonce on top. Two messages collide in
  key and nonce with probability q^2 / 2^225: for 2^64 messages under one backing key that is 2^-97. Each
  derived key encrypts one message, so the block-counting bound of GCM does not add up over messages.
- a framed body has a random data key and its nonces are counted: up to 2^32 frames, each at most 2^31 - 1
  bytes; at the journal's and the object store's sizes (below 2^45 bytes under one key) the distinguishing
  advantage stays below 2^-46.
- a forgery succeeds with probability of about l / 2^128 per try, l being the message's length in blocks.

AES-GCM does not commit to its key: one who holds two backing keys can make a blob that opens under both. That
gains nothing here, since a blob names its key and is opened with no other.

The package is pure: it reads and writes no state except the files that a seal is told to read, and imports
``cryptography`` and (only when asked for a PKCS#11 seal) ``pkcs11``.
"""
