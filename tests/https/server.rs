//! The server under test, with a reviewer controlled by the request body and with generated certificates.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use jiff::SignedDuration;
use stellar_k8s::metrics::probes::Readiness;
use stellar_k8s::tls::certificate::Pair;
use stellar_k8s::tls::issue;
use stellar_k8s::tls::serving::Serving;
use stellar_k8s::util::clock;
use stellar_k8s::webhook::limits::Limits;
use stellar_k8s::webhook::reviewer::{Answer, Reviewer};
use stellar_k8s::webhook::server::{HttpsServer, ServerError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::client::{Client, Trust};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) authority: Pair,
    pub(crate) serving: Serving,
    pub(crate) readiness: Readiness,
    pub(crate) gate: Gate,
    shutdown: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), ServerError>>,
}

impl Server {
    /// Starts a server with a certificate.
    pub(crate) fn start(limits: Limits) -> Self {
        let server = Self::start_without_certificate(limits, Duration::from_secs(2));
        server.serve_new_leaf();
        server
    }

    pub(crate) fn start_without_certificate(limits: Limits, drain: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let serving = Serving::default();
        let readiness = Readiness::default();
        let gate = Gate::default();
        let (sender, receiver) = oneshot::channel();
        let server = HttpsServer {
            listener,
            serving: serving.clone(),
            limits,
            drain,
            metrics: Arc::default(),
        };
        let shutdown = async move { receiver.await.unwrap_or_default() };
        let task = tokio::spawn(server.serve(Arc::new(Obedient(gate.clone())), readiness.clone(), shutdown));
        let authority = issue::authority(clock::now(), SignedDuration::from_hours(1)).unwrap();
        Self {
            address,
            authority,
            serving,
            readiness,
            gate,
            shutdown: Some(sender),
            task,
        }
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::new(&self.authority.certificate.pem)
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::connect(self.address, &self.trust()).await.unwrap()
    }

    pub(crate) fn new_leaf(&self) -> Pair {
        let names = BTreeSet::from(["webhook.ns.svc".to_owned()]);
        issue::leaf(&self.authority, &names, clock::now(), SignedDuration::from_mins(10)).unwrap()
    }

    pub(crate) fn serve_new_leaf(&self) {
        let leaf = self.new_leaf();
        assert!(self.serving.offer(&leaf.certificate.pem, &leaf.key).unwrap());
    }

    pub(crate) fn shut_down(&mut self) {
        self.shutdown.take().unwrap().send(()).unwrap();
    }

    pub(crate) async fn ended(self) -> Result<(), ServerError> {
        tokio::time::timeout(Duration::from_secs(30), self.task)
            .await
            .expect("the server does not end")
            .unwrap()
    }

    /// Asserts that the server answers a valid request on a new connection.
    pub(crate) async fn assert_serves(&self) {
        let answer = self.connect().await.post("/validate", b"{}").await.unwrap();
        assert_eq!((answer.status, answer.body.as_str()), (200, "validate 2"));
    }
}

/// Blocks reviews until the test releases them.
#[derive(Clone, Default)]
pub(crate) struct Gate(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    waiting: usize,
    open: bool,
}

impl Gate {
    pub(crate) fn open(&self) {
        self.0.0.lock().unwrap().open = true;
        self.0.1.notify_all();
    }

    /// Waits until this many reviews are blocked.
    pub(crate) async fn holds(&self, reviews: usize) {
        let held = async {
            while self.0.0.lock().unwrap().waiting < reviews {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), held)
            .await
            .expect("too few reviews arrive");
    }

    fn wait(&self) {
        let mut state = self.0.0.lock().unwrap();
        state.waiting += 1;
        drop(self.0.1.wait_while(state, |state| !state.open).unwrap());
    }
}

/// A reviewer that does what the body says.
struct Obedient(Gate);

impl Obedient {
    fn answer(&self, path: &str, body: &[u8]) -> Answer {
        match body.trim_ascii_end() {
            b"panic" | b"panic at once" => panic!("the body said so"),
            b"wait" => self.0.wait(),
            b"refuse" => {
                return Answer {
                    status: 400,
                    body: b"not a review".to_vec(),
                    ..Answer::default()
                };
            }
            _ => {}
        }
        Answer {
            status: 200,
            body: format!("{path} {}", body.len()).into_bytes(),
            ..Answer::default()
        }
    }
}

impl Reviewer for Obedient {
    fn mutate(&self, body: &[u8]) -> Answer {
        self.answer("mutate", body)
    }

    fn validate(&self, body: &[u8]) -> Answer {
        self.answer("validate", body)
    }
    fn is_quick(&self, body: &[u8]) -> bool {
        body.ends_with(b"at once")
    }
}
