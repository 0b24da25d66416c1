//! The local runtime with the real `redis-server`.

mod crash;
mod lives;
mod process;
mod secrets;
mod starts;
mod support;
