//! Where encoded bytes go: into a counter that checks every value, or into a buffer.

/// Takes encoded bytes.
pub trait Output {
    /// Whether values are checked on the way. A body is written only after it was counted, so its values
    /// need not be checked twice; nothing that is checked changes what is written.
    const CHECKS: bool;

    fn put(&mut self, bytes: &[u8]);

    /// Bytes taken so far.
    fn taken(&self) -> usize;
}

/// Counts and checks.
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
