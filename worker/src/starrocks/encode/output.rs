//! The output of the encoder: a counter, for which every value is checked, or a buffer.

/// Receives encoded bytes.
pub trait Output {
    /// Whether values are checked. A body is written only after it was counted, so its values need not be checked twice;
    /// the check does not change what is written.
    const CHECKS: bool;

    fn put(&mut self, bytes: &[u8]);

    /// Bytes received so far.
    fn taken(&self) -> usize;
}

/// Values up to this many bytes are written at once.
pub(super) const AT_ONCE: usize = 16 * 1024;

/// Counts bytes; values are checked.
#[derive(Debug, Default, Clone, Copy)]
pub struct Count(usize);

impl Output for Count {
    const CHECKS: bool = true;

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }

    #[inline]
    fn taken(&self) -> usize {
        self.0
    }
}

/// A buffer for which every value is checked: for rows that are encoded once.
#[derive(Debug, Default)]
pub struct Checked(pub Vec<u8>);

impl Output for Checked {
    const CHECKS: bool = true;

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    #[inline]
    fn taken(&self) -> usize {
        self.0.len()
    }
}

impl Output for Vec<u8> {
    const CHECKS: bool = false;

    #[inline]
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }

    #[inline]
    fn taken(&self) -> usize {
        self.len()
    }
}
