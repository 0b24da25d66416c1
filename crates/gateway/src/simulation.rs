//! The exchange, and what reads requests and replies, in worlds that are made up from bytes: from those of a seed in tests,
//! and from those that a fuzzer finds. The same bytes make up the same world.
//!
//! A `scene` has an exchange, a few `caller`s who ask for what an `author` makes up, and `node`s with model `engine`s, who all
//! speak over a `net` that delays and cuts what they say. `events` are what happens meanwhile: switches, deaths, successors.
//! Each caller has an engine of its own that it asks the same; what that says it must be told, whatever happens. The `finale`
//! sees to it that all is answered, and nothing left.
//!
//! A `codec` world is a stream alone, cut anywhere: the gateway's readers must find in it what `naive` ones do.

mod author;
mod caller;
mod chance;
mod codec;
mod data;
mod engine;
mod events;
mod finale;
mod naive;
mod net;
mod node;
mod scene;
mod words;

/// Plays a scene that these bytes make up.
///
/// # Panics
/// Where something is as it must not be.
pub fn session(bytes: &[u8]) {
    let mut scene = scene::Scene::new(bytes);
    if let Err(why) = scene.play() {
        let from = scene.story.len().saturating_sub(60);
        panic!("{why}\n  after\n  {}", scene.story[from..].join("\n  "));
    }
}

/// Reads requests and replies from a stream that these bytes make up.
///
/// # Panics
/// Where they are read otherwise than they are.
pub fn codec(bytes: &[u8]) {
    codec::requests(bytes);
    codec::replies(bytes);
}

/// The bytes that a seed stands for.
pub fn seed(number: u64) -> Vec<u8> {
    chance::Chance::bytes_of(number)
}

#[cfg(test)]
mod tests {
    use std::ops::Range;
    use std::panic::catch_unwind;

    /// Seeds to be played: some, or those that are asked for.
    fn seeds(usual: Range<u64>) -> Range<u64> {
        let Ok(range) = std::env::var("OPENCRS_SIMULATION_SEEDS") else { return usual };
        let (from, to) = range.split_once('-').expect("a range of seeds");
        from.parse().unwrap()..to.parse().unwrap()
    }

    fn play(seeds: Range<u64>, body: fn(&[u8])) {
        let fails = |seed: &u64| catch_unwind(|| body(&super::seed(*seed))).is_err();
        let failed: Vec<_> = seeds.filter(fails).collect();
        assert!(failed.is_empty(), "{} seeds failed: {failed:?}", failed.len());
    }

    #[test]
    fn clients_are_told_what_one_redis_would_tell_them_whatever_happens() {
        play(seeds(0..400), super::session);
    }

    #[test]
    fn requests_and_replies_are_found_in_any_stream_however_it_is_cut() {
        play(seeds(0..20_000), super::codec);
    }
}
