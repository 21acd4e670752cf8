"""The envelope: how Casemate seals what it keeps, from the operator's seal down to a client's ciphertext.

::

    Seal (seals.py: key file, passphrase, PKCS#11)
      wraps the root key (hierarchy.RootKey), unwrapped once, at start
        derives a key for each purpose (session tokens, the journal's segment keys, ...)
        wraps one key per account and version (hierarchy.AccountKey)
          wraps key material (KMS backing keys, data keys of objects and segments, secrets)
            KMS messages (message.py): a derived key for each run of them, counted nonces
            framed bodies (frames.py): a data key of its own for each body, counted nonces

Storage is untrusted. Whatever is wrapped is bound (as additional authenticated data) to what it is, whose it
is and which version it is, in an encoding in which two different lists of fields never look the same
(encoding.py), so an altered row and a row moved to another place are both detected.

**Bounds.** Everything is AES-256-GCM. With random 96-bit nonces one key is good for 2^32 messages (NIST
SP 800-38D, 8.3), which a busy key passes in a day. So no long-lived key ever encrypts anything itself:

- a wrap uses a key derived from the long-lived key and 16 random bytes by SP 800-108 in counter mode with
  HMAC-SHA-256 (derivation.py), and a random 96-bit nonce on top: two wraps collide in key and nonce with
  probability q^2 / 2^225.
- KMS messages use keys derived in the same way, each for at most 2^20 messages (of at most 4,096 bytes, or a
  data key) whose nonces are counted. Nonces under one derived key never repeat; derived keys repeat with
  probability r^2 / 2^129 for r salts: 2^64 messages under one backing key, in full runs, are 2^44 salts and
  2^-41. At most 2^29 blocks are encrypted under one derived key, and GCM's distinguishing advantage for them is
  below 2^-70. A process's memory must not be run twice (a virtual machine's snapshot resumed more than
  once): counted nonces would repeat, as randomness drawn ahead would.
- a framed body has a random data key and its nonces are counted: up to 2^32 frames, each at most 2^31 - 1
  bytes; at the journal's and the object store's sizes (below 2^45 bytes under one key) the distinguishing
  advantage stays below 2^-46.
- a forgery succeeds with probability of about l / 2^128 per try, l being the message's length in blocks.

AES-GCM does not commit to its key: one who holds two backing keys can make a blob that opens under both. That
gains nothing here, since a blob names its key and is opened with no other.

The package is pure: it reads and writes no state except the files that a seal is told to read, and imports
``cryptography`` and (only when asked for a PKCS#11 seal) ``pkcs11``.
"""
