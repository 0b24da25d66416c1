//! The service as its users meet it: unmodified public clients, real engines, and what may happen to a machine.
//! Each test has a service of its own.

mod binary;
mod clients;
mod crashes;
mod limits;
mod lives;
mod machines;
mod parameters;
mod refusals;
mod steering;
mod switches;
mod tasks;
