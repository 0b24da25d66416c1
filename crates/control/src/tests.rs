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
mod rotation;
mod security;
mod shape;
mod site;
mod steering;
mod stuck;
mod vpc;
mod watching;
