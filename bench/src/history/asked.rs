//! What is asked, and how long that takes.

use std::time::Instant;

use ledger::Ledger;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::questions::{Question, SHAPES};
use crate::figures::millis;

/// How many questions.
pub(super) const QUESTIONS: usize = 1_000;

/// How long answers took, by shape.
pub(super) struct Asked(pub(super) Vec<(&'static str, f64)>);

impl Asked {
    pub(super) fn of(&self, shape: &str) -> Asked {
        Asked(self.0.iter().filter(|(of, _)| *of == shape).copied().collect())
    }

    pub(super) fn mean(&self) -> f64 {
        self.0.iter().map(|(_, took)| took).sum::<f64>() / self.0.len() as f64
    }

    fn quantile(&self, part: f64) -> f64 {
        let mut sorted: Vec<f64> = self.0.iter().map(|(_, took)| *took).collect();
        sorted.sort_by(f64::total_cmp);
        sorted.get((sorted.len() as f64 * part) as usize).copied().unwrap_or_default()
    }

    pub(super) fn p99(&self) -> f64 {
        self.quantile(0.99)
    }

    pub(super) fn show(&self) -> String {
        format!("p50 {:.2} ms, p99 {:.2} ms", self.quantile(0.5), self.p99())
    }
}

pub(super) fn questions(instances: u64, seed: u64, count: usize) -> Vec<Question> {
    let mut random = SmallRng::seed_from_u64(seed);
    (0..count).map(|nth| Question::random(&mut random, SHAPES[nth % SHAPES.len()].0, instances)).collect()
}

pub(super) fn ask(ledger: &Ledger, instances: u64, seed: u64) -> anyhow::Result<Asked> {
    // Others before them, so that what is measured isn't the disk's first reads.
    for question in questions(instances, seed + 100, QUESTIONS) {
        ledger.list_tasks(&question.filter, question.limit, question.offset)?;
    }
    let mut asked = Vec::new();
    for question in questions(instances, seed, QUESTIONS) {
        let begin = Instant::now();
        ledger.list_tasks(&question.filter, question.limit, question.offset)?;
        asked.push((question.shape, millis(begin.elapsed())));
    }
    Ok(Asked(asked))
}
