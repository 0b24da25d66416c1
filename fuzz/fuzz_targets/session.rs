//! Scenes of an exchange between callers and nodes.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| gateway::simulation::session(bytes));
