//! The service as its users meet it: unmodified public clients, real engines, and what may happen to a machine.
//! Each test has a service of its own.

mod accounts;
mod binary;
mod clients;
mod crashes;
mod history;
mod limits;
mod lives;
mod machines;
mod monitor;
mod network;
mod parameters;
mod projects;
mod refusals;
mod security;
mod servers;
mod sessions;
mod steering;
mod switches;
mod tasks;
mod tls;
