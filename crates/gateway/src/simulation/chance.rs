//! What happens by chance, as some bytes say: a seed's, or those that a fuzzer makes up.

/// Says what happens. Once its bytes are used up nothing unusual does.
pub(super) struct Chance {
    bytes: Vec<u8>,
    at: usize,
    is_calm: bool,
}

impl Chance {
    pub(super) fn new(bytes: &[u8]) -> Chance {
        Chance { bytes: bytes.to_vec(), at: 0, is_calm: false }
    }

    /// The bytes that a seed stands for.
    pub(super) fn bytes_of(seed: u64) -> Vec<u8> {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x2545_f491_4f6c_dd1d;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let word = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            word ^ (word >> 31)
        };
        let length = 500 + next() as usize % 4000;
        std::iter::repeat_with(|| (next() >> 32) as u8).take(length).collect()
    }

    /// Whether nothing unusual happens any more.
    pub(super) fn is_over(&self) -> bool {
        self.is_calm || self.at >= self.bytes.len()
    }

    /// From now on nothing unusual happens.
    pub(super) fn calm(&mut self) {
        self.is_calm = true;
    }

    fn byte(&mut self) -> usize {
        if self.is_over() {
            return 0;
        }
        self.at += 1;
        usize::from(self.bytes[self.at - 1])
    }

    /// A number below `end`. Nought is what is usual.
    pub(super) fn below(&mut self, end: usize) -> usize {
        match end {
            0 | 1 => 0,
            2..=256 => self.byte() % end,
            _ => (self.byte() | self.byte() << 8 | self.byte() << 16) % end,
        }
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    pub(super) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }
}
