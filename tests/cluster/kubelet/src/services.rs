//! Replaces a Service: a port of loopback that forwards connections to ready pods, round-robin.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// The ports of the ready pods behind each port.
#[derive(Debug, Clone, Default)]
pub(crate) struct Services(Arc<Mutex<BTreeMap<u16, Vec<u16>>>>);

impl Services {
    /// Adds this pod to `service`.
    pub(crate) async fn join(&self, service: Option<u16>, pod: u16) {
        let Some(service) = service else { return };
        let is_new = {
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let is_new = !known.contains_key(&service);
            let pods = known.entry(service).or_default();
            if !pods.contains(&pod) {
                pods.push(pod);
            }
            is_new
        };
        if !is_new {
            return;
        }
        match TcpListener::bind((Ipv4Addr::LOCALHOST, service)).await {
            Ok(listener) => drop(tokio::spawn(self.clone().forward(service, listener))),
            Err(error) => tracing::error!(service, %error, "listening for a Service"),
        }
    }

    /// Removes this pod from `service`; its open connections stay.
    pub(crate) fn leave(&self, service: Option<u16>, pod: u16) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pods) = service.and_then(|service| known.get_mut(&service)) {
            pods.retain(|port| *port != pod);
        }
    }

    async fn forward(self, service: u16, listener: TcpListener) {
        while let Ok((mut from, _)) = listener.accept().await {
            let Some(pod) = self.next(service) else { continue };
            tokio::spawn(async move {
                if let Ok(mut to) = TcpStream::connect((Ipv4Addr::LOCALHOST, pod)).await {
                    let _ = copy_bidirectional(&mut from, &mut to).await;
                }
            });
        }
    }

    /// The pod that is next, round-robin.
    fn next(&self, service: u16) -> Option<u16> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pods = known.get_mut(&service)?;
        if pods.is_empty() {
            return None;
        }
        pods.rotate_left(1);
        pods.first().copied()
    }
}
