use std::sync::{Mutex, PoisonError};

use rand::rngs::StdRng;
use rand::{RngCore, SeedableRng};

/// Where ids, passwords and nonces come from. Seeded by the system, or by a test that wants to see the same again.
pub struct Random(Mutex<StdRng>);

impl Random {
    /// Seeded by the operating system.
    pub fn from_system() -> Self {
        Random(Mutex::new(StdRng::from_os_rng()))
    }

    /// The same numbers for the same seed: for tests.
    pub fn seeded(seed: u64) -> Self {
        Random(Mutex::new(StdRng::seed_from_u64(seed)))
    }

    /// So many random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(&mut bytes);
        bytes
    }

    /// 64 random bits.
    pub fn bits(&self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }
}
