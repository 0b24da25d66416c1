//! The control plane as a whole, on a simulated host.

mod answers;
mod crashes;
mod maintenance;
mod orders;
mod shape;
mod site;
