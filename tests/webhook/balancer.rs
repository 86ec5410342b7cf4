//! A TCP balancer on loopback, in the place of the webhook's Service: new connections go to replicas that are ready, as
//! it last heard of them, and connections that stand are left alone.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stellar_k8s::probes::Readiness;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::cluster::eventually;
use crate::replica::Replica;

/// How late the balancer hears of a replica's readiness: a probe's period and what the Service needs.
const LATE: Duration = Duration::from_millis(700);

type Backends = Arc<Mutex<Vec<(SocketAddr, Readiness)>>>;

pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    backends: Backends,
    heard: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let backends = Backends::default();
        let heard = Arc::new(Mutex::new(Vec::new()));
        tokio::spawn(listen_for_readiness(Arc::clone(&backends), Arc::clone(&heard)));
        tokio::spawn(forward(listener, Arc::clone(&heard)));
        Self {
            address,
            backends,
            heard,
        }
    }

    /// Waits until the balancer has heard that so many replicas are ready.
    pub(crate) async fn hears(&self, replicas: usize) {
        eventually("the balancer hears of all replicas", async || {
            self.heard.lock().unwrap().len() == replicas
        })
        .await;
    }

    /// Sends work to this replica too, whenever it is ready.
    pub(crate) fn add(&self, replica: &Replica) {
        self.backends
            .lock()
            .unwrap()
            .push((replica.address, replica.readiness.clone()));
    }
}

async fn listen_for_readiness(backends: Backends, heard: Arc<Mutex<Vec<SocketAddr>>>) {
    loop {
        let ready: Vec<_> = backends
            .lock()
            .unwrap()
            .iter()
            .filter(|(_, ready)| ready.is_ready())
            .cloned()
            .collect();
        *heard.lock().unwrap() = ready.into_iter().map(|(address, _)| address).collect();
        tokio::time::sleep(LATE).await;
    }
}

async fn forward(listener: TcpListener, heard: Arc<Mutex<Vec<SocketAddr>>>) {
    for turn in 0.. {
        let (mut client, _) = listener.accept().await.unwrap();
        let ready = heard.lock().unwrap().clone();
        let Some(backend) = ready.get(turn % ready.len().max(1)).copied() else {
            continue;
        };
        tokio::spawn(async move {
            let mut server = TcpStream::connect(backend).await.unwrap();
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
    }
}
