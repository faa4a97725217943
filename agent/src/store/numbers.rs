//! The numbers of a block's rows: one after another, or each told where some are elsewhere.

/// Numbers of the rows of a block while it is filled.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// Of the first row.
    pub(super) first: u64,
    /// After that of the last row.
    end: u64,
    rows: u32,
}

impl Numbers {
    /// Takes the next row's number, and returns its distance from the first.
    pub(super) fn push(&mut self, seq: u64) -> u64 {
        if self.rows == 0 {
            self.first = seq;
        }
        self.rows += 1;
        self.end = seq.saturating_add(1);
        seq.saturating_sub(self.first)
    }

    /// Distance from the first number to that after the last.
    pub(super) fn span(self) -> u64 {
        self.end.saturating_sub(self.first)
    }

    /// Whether no number between the first and the last is missing.
    pub(super) fn are_dense(self) -> bool {
        self.span() == u64::from(self.rows)
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_dense_until_one_is_left_out() {
        let mut numbers = Numbers::default();
        assert_eq!((numbers.push(7), numbers.push(8)), (0, 1));
        assert!(numbers.are_dense());
        assert_eq!(numbers.push(12), 5);
        assert!(!numbers.are_dense());
        assert_eq!((numbers.first, numbers.span()), (7, 6));
        numbers.clear();
        assert_eq!(numbers.push(3), 0);
        assert!(numbers.are_dense());
    }
}
