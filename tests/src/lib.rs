//! What the tests that need root and Docker share.
