//! A seed is used by one pod at a time, and seen by no one else.

mod csi_driver;
mod exclusivity;
mod secrecy;
