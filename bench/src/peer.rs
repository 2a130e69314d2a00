//! What all limiters have in common here.

/// Something that limits by key.
pub trait Peer<K: ?Sized>: Send + Sync {
    /// Asks for each key in turn, and tells how many passed.
    fn hits(&self, keys: &[&K]) -> usize;

    /// How often it did not keep a key that was in use. Only a limiter with a bound loses any.
    fn lost(&self) -> u64 {
        0
    }
}
