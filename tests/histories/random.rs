//! Random numbers from a seed, so that a history can be repeated.

use std::ops::RangeInclusive;

use ring::rand::{SecureRandom as _, SystemRandom};

/// A random seed, short enough to type.
pub(crate) fn seed() -> u64 {
    let mut bytes = [0; 4];
    SystemRandom::new().fill(&mut bytes).expect("random bytes");
    u32::from_le_bytes(bytes).into()
}

/// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A random number in this range.
    pub(crate) fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        let count = u64::try_from(range.end() - range.start() + 1).expect("a number");
        range.start() + usize::try_from(self.next() % count).expect("it is smaller")
    }

    /// A random item; `None` if there are none.
    pub(crate) fn one_of<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        let last = items.len().checked_sub(1)?;
        Some(items[self.within(0..=last)])
    }
}
