//! The control plane as a whole, on a simulated host.

mod accounts;
mod answers;
mod crashes;
mod disturbing;
mod maintenance;
mod orders;
mod rotation;
mod shape;
mod site;
mod steering;
mod stuck;
mod watching;
