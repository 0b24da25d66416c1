//! control

pub mod params;
