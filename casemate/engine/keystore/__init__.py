"""Custom key stores: what keeps KMS keys' material elsewhere, and how it is spoken to.

- ``token.py``: an HSM by PKCS#11 (a CloudHSM cluster's part). Keys are made in it and never leave it.
- ``xks.py``, ``xks_messages.py``: an external key manager, behind a proxy that serves the published "AWS KMS External
  Key Store Proxy API Specification", version 1. ``signing.py`` signs its requests, ``https.py`` carries them.
- ``blobs.py``: the ciphertext blobs of such keys.

Nothing here knows AWS's errors: a failure is a ``KeyStoreError``, whose ``Failure`` says of which kind it is. What is
slow or does not answer is waited for at most as long as the caller says; all of it is for threads that may wait.
"""
