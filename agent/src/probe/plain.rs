//! Lets any wire type be a key or value of a map, or a global of the object.

use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A type that is plain bytes.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Plain<T>(pub T);

#[allow(unsafe_code, reason = "aya asks for the promise that zerocopy has proved")]
// SAFETY: `IntoBytes` proves that there is no padding and `FromBytes` that every bit pattern is
// valid, which is all that `Pod` asks for; `repr(transparent)` keeps both true of the wrapper.
unsafe impl<T: FromBytes + IntoBytes + Immutable + Copy + 'static> aya::Pod for Plain<T> {}
