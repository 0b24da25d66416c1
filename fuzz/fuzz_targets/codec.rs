//! Streams of requests and replies.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway::simulation::codec(bytes));
