//! The control plane as a whole, on a simulated host.

mod answers;
mod crashes;
mod disturbing;
mod site;
mod steering;
mod watching;
