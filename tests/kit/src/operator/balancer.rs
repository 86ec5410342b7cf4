//! A TCP balancer on loopback that replaces the webhook's Service. New connections go to replicas whose last probe was
//! ready; open connections are kept.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::operator::{Operator, looks_ready};
use crate::wait_for;

/// The delay until it notices a replica's readiness: a probe's period and the time that a Service needs.
const LATE: Duration = Duration::from_millis(700);

#[derive(Clone, Copy, Debug)]
struct Replica {
    webhook: u16,
    probes: u16,
}

#[derive(Debug, Default)]
struct Known {
    replicas: Vec<Replica>,
    /// Ports of the webhooks whose last probe was ready.
    ready: Vec<u16>,
}

/// Forwards connections until it is dropped.
#[derive(Debug)]
pub struct Balancer {
    known: Arc<Mutex<Known>>,
    tasks: [JoinHandle<()>; 2],
}

impl Balancer {
    /// Listens on the port that the API server calls, once an earlier balancer has released it.
    pub async fn listen(port: u16) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let listener = wait_for("the webhook's port to be free", Duration::from_secs(30), async || {
            TcpListener::bind(address).await.ok()
        })
        .await;
        let known = Arc::new(Mutex::new(Known::default()));
        let tasks = [
            tokio::spawn(listen_for_readiness(Arc::clone(&known))),
            tokio::spawn(forward(listener, Arc::clone(&known))),
        ];
        Self { known, tasks }
    }

    /// Adds this replica, which gets connections while it is ready.
    pub fn add(&self, replica: &Operator) {
        let (webhook, probes) = (replica.webhook_port(), replica.probe_port());
        self.known.lock().unwrap().replicas.push(Replica { webhook, probes });
    }

    /// Removes this replica.
    pub fn remove(&self, replica: &Operator) {
        let webhook = replica.webhook_port();
        self.known.lock().unwrap().replicas.retain(|one| one.webhook != webhook);
    }

    /// Waits until exactly this many replicas are known to be ready.
    pub async fn wait_for_ready(&self, replicas: usize) {
        let what = format!("the balancer to know {replicas} ready replicas");
        wait_for(&what, Duration::from_secs(30), async || {
            (self.known.lock().unwrap().ready.len() == replicas).then_some(())
        })
        .await;
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn listen_for_readiness(known: Arc<Mutex<Known>>) {
    loop {
        let replicas = known.lock().unwrap().replicas.clone();
        let mut ready = Vec::new();
        for replica in replicas {
            // One slow answer does not remove a replica: a Service needs several failed probes.
            let before = known.lock().unwrap().ready.contains(&replica.webhook);
            if looks_ready(replica.probes).await.unwrap_or(before) {
                ready.push(replica.webhook);
            }
        }
        known.lock().unwrap().ready = ready;
        tokio::time::sleep(LATE).await;
    }
}

async fn forward(listener: TcpListener, known: Arc<Mutex<Known>>) {
    for count in 0.. {
        let Ok((mut client, _)) = listener.accept().await else {
            continue;
        };
        let ready = known.lock().unwrap().ready.clone();
        let Some(port) = ready.get(count % ready.len().max(1)).copied() else {
            continue;
        };
        let others: Vec<u16> = ready.into_iter().filter(|other| *other != port).collect();
        tokio::spawn(async move {
            // Skip replicas that no longer listen. If none listens, close the client's connection.
            for port in [port].into_iter().chain(others) {
                if let Ok(mut replica) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await {
                    let _ = copy_bidirectional(&mut client, &mut replica).await;
                    return;
                }
            }
        });
    }
}
