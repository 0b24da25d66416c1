mod order;
mod real_clients;
mod renderings;
mod robustness;
mod support;
