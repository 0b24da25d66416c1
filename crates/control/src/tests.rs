//! The control plane as a whole, on a simulated host.

mod answers;
mod crashes;
mod disturbing;
mod maintenance;
mod orders;
mod parameters;
mod shape;
mod site;
mod steering;
mod stuck;
mod watching;
