//! The service: what is between its transport and its product.

pub mod wire;
