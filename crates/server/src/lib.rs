//! The service: what is between its transport and its product.

mod api;
mod catalogue;
mod config;
mod crash;
mod data_folder;
mod dev;
mod events;
mod gateway_process;
mod listener;
mod prices;
mod serve;
mod stop;
mod tasks;
pub mod wire;

pub use catalogue::print as print_catalogue;
pub use config::{Config, flags};
pub use control::AUTHORITY_FILE;
pub use dev::{DEFAULTS as DEV_DEFAULTS, reap, run as run_dev};
pub use serve::{on_tokio, run as run_serve, say, stop_signal};
pub use stop::run as run_stop;
pub use tasks::{command as tasks_command, run as run_tasks};
