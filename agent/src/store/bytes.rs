//! Bounded reading and plain writing of the numbers and texts in blocks.

/// Bytes are not what their place says they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static str);

/// Reads from the front of a slice; never beyond it.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(Malformed("cut short"))?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed("cut short"))?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_le_bytes)
    }

    /// An unsigned number of 1 to 10 bytes, seven bits each, lowest first.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        if let Some((&byte, rest)) = self.0.split_first()
            && byte < 0x80
        {
            self.0 = rest;
            return Ok(u64::from(byte));
        }
        if let Some(word) = self.0.first_chunk().copied().map(u64::from_le_bytes) {
            // The byte that ends the number is the first without its highest bit.
            let ends = !word & 0x8080_8080_8080_8080;
            if ends != 0 {
                self.0 = &self.0[ends.trailing_zeros() as usize / 8 + 1..];
                return Ok(join_sevens(word & (ends ^ (ends - 1))));
            }
        }
        self.varint_by_bytes()
    }

    /// The same where the number is long, or the bytes are few.
    fn varint_by_bytes(&mut self) -> Result<u64, Malformed> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Malformed("number too long"))
    }

    /// A varint that counts something of which there are at most `limit`.
    pub(super) fn count(&mut self, limit: usize) -> Result<usize, Malformed> {
        let count = self.varint()?;
        if count > limit as u64 {
            return Err(Malformed("count out of bounds"));
        }
        Ok(count as usize)
    }

    /// A text behind its length.
    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = self.count(self.0.len())?;
        std::str::from_utf8(self.take(length)?).map_err(|_| Malformed("text is not UTF-8"))
    }
}

/// Joins the lower seven bits of each byte.
const fn join_sevens(word: u64) -> u64 {
    let word = (word & 0x007f_007f_007f_007f) | (word & 0x7f00_7f00_7f00_7f00) >> 1;
    let word = (word & 0x0000_3fff_0000_3fff) | (word & 0x3fff_0000_3fff_0000) >> 2;
    (word & 0x0fff_ffff) | (word & 0x0fff_ffff_0000_0000) >> 4
}

/// Appends what [`Cursor::varint`] reads.
pub(super) fn put_varint(into: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Appends what [`Cursor::text`] reads.
pub(super) fn put_text(into: &mut Vec<u8>, text: &str) {
    put_varint(into, text.len() as u64);
    into.extend_from_slice(text.as_bytes());
}

/// Maps signed to unsigned so that small distances stay small.
pub(super) const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)) as u64
}

/// Undoes [`zigzag`].
pub(super) const fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_read_back(number: u64, bits in 0..64_u32, behind in 0..12_usize, signed: i64) {
            let (mut bytes, number) = (Vec::new(), number >> bits);
            put_varint(&mut bytes, number);
            bytes.resize(bytes.len() + behind, 0xff);
            let mut from = Cursor(&bytes);
            prop_assert_eq!(from.varint(), Ok(number));
            prop_assert_eq!(from.0.len(), behind);
            prop_assert_eq!(unzigzag(zigzag(signed)), signed);
        }
    }

    #[test]
    fn a_number_without_end_is_refused() {
        assert!(Cursor(&[0xff; 20]).varint().is_err());
        assert!(Cursor(&[0x80]).varint().is_err());
    }
}
