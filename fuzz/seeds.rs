//! Writes what a fuzzer begins with into the corpora.

use std::fs;
use std::path::Path;

/// How many of each.
const SEEDS: u64 = 50;

fn main() -> std::io::Result<()> {
    for target in ["codec", "session"] {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
        fs::create_dir_all(&corpus)?;
        for seed in 0..SEEDS {
            fs::write(corpus.join(format!("seed-{seed}")), gateway::simulation::seed(seed))?;
        }
    }
    Ok(())
}
