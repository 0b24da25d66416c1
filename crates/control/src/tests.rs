//! The control plane as a whole, on a simulated host.

mod accounts;
mod answers;
mod crashes;
mod disturbing;
mod maintenance;
mod monitor;
mod network;
mod orders;
mod parameters;
mod projects;
mod replica_reads;
mod retention;
mod rotation;
mod security;
mod shape;
mod site;
mod steering;
mod stuck;
mod tls;
mod vpc;
mod watching;
