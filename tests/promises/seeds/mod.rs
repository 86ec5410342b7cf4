//! Only one pod at a time uses a seed, and only that pod sees it.

mod csi_driver;
mod exclusivity;
mod secrecy;
