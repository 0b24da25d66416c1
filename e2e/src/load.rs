use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::{Instance, run};

/// A customer who counts without pause on one connection, that nothing may break.
pub struct Load {
    is_over: Arc<AtomicBool>,
    customer: JoinHandle<()>,
}

impl Load {
    /// Starts to count.
    pub fn start(instance: &Instance) -> Self {
        let mut connection = instance.connect().expect("connect");
        let is_over = Arc::new(AtomicBool::new(false));
        let customer = thread::spawn({
            let is_over = is_over.clone();
            move || {
                let mut counted = 0;
                while !is_over.load(Ordering::Relaxed) {
                    let count: u64 = run(&mut connection, &["INCR", "count"]).expect("the connection holds");
                    counted += 1;
                    assert_eq!(count, counted, "a write is lost, or was done twice");
                }
                let count: Option<u64> = run(&mut connection, &["GET", "count"]).expect("the connection holds");
                assert_eq!(count.unwrap_or(0), counted, "a write is lost");
            }
        });
        Load { is_over, customer }
    }

    /// Stops counting.
    ///
    /// # Panics
    /// When the connection broke meanwhile, or when a write that was acknowledged is not there.
    pub fn finish(self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.customer.join().expect("the customer was never disturbed");
    }
}
