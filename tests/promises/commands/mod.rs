//! `stellar-operator peers` and `config`, kubectl, and the library as other programs call it.

mod config_command;
mod kubectl;
mod library_functions;
mod peers_command;
mod peers_rights;
