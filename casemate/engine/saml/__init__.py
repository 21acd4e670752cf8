"""SAML 2.0, from the side of who is shown a response: identity providers' metadata, and signed assertions.

Source: "Assertions and Protocols for SAML V2.0", "Metadata for SAML V2.0", and "Configure SAML assertions for the
authentication response" for what AWS demands of them.
"""
