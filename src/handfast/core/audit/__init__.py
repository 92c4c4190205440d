"""The signed tree over the event log: leaves, proofs, exports, and their verification.

Lives here: RFC 6962 hashing and proofs, tree heads, the export bundle, the verifier.

May enter: `core.domain`. Keys stay outside: signing and signature checks are passed in.
"""
