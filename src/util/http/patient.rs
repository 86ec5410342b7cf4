//! A connection that ends when its client takes nothing for too long, when it has lasted long enough, or when it has
//! to.
//!
//! hyper bounds the time for a request; for reading the answer it has no limit, and a client that reads nothing would
//! hold its place for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::Sleep;

/// How patient a server is.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// How long a write may take.
    pub stall: Duration,
    /// Whether that is for all that is written at once, and not until a part of it is taken.
    pub whole: bool,
    /// How long a connection may last; without one: for ever.
    pub life: Option<Duration>,
}

/// A stream with these limits.
#[derive(Debug)]
pub struct PatientStream<S> {
    inner: S,
    stall: Duration,
    whole: bool,
    /// Ends when the connection has to.
    closed: Option<oneshot::Receiver<()>>,
    /// Runs while a write waits for the client.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Runs from the beginning.
    life: Option<Pin<Box<Sleep>>>,
}

impl<S> PatientStream<S> {
    /// A stream that ends when `closed` does, or with the patience for it.
    pub(crate) fn new(inner: S, patience: Patience, closed: oneshot::Receiver<()>) -> Self {
        let Patience { stall, whole, life } = patience;
        Self {
            inner,
            stall,
            whole,
            closed: Some(closed),
            stalled: None,
            life: life.map(|life| Box::pin(tokio::time::sleep(life))),
        }
    }

    /// An error once the stream has to end; else it wakes this task then.
    fn lasts(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let open = self.closed.as_mut();
        if open.is_none_or(|closed| Pin::new(closed).poll(context).is_ready()) {
            self.closed = None;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let ended = self
            .life
            .as_mut()
            .is_some_and(|life| life.as_mut().poll(context).is_ready());
        if ended {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(())
        }
    }

    /// What came of a write of so many bytes: one that waits for too long fails.
    fn written(
        &mut self,
        context: &mut Context<'_>,
        asked: usize,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let is_done = match &outcome {
            Poll::Ready(Ok(written)) => *written >= asked || !self.whole,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if is_done {
            self.stalled = None;
            return outcome;
        }
        let stall = self.stall;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
        if stalled.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.lasts(context)?;
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.lasts(context)?;
        let outcome = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.written(context, bytes.len(), outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.lasts(context)?;
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        let asked = parts.iter().map(|part| part.len()).sum();
        self.written(context, asked, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket has nothing to flush.
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::{Instant, timeout};

    use super::*;

    const STALL: Duration = Duration::from_secs(30);
    const LIFE: Duration = Duration::from_secs(600);
    const PATIENCE: Patience = Patience {
        stall: STALL,
        whole: false,
        life: Some(LIFE),
    };

    fn patient<S>(stream: S, patience: Patience) -> (PatientStream<S>, oneshot::Sender<()>) {
        let (open, closed) = oneshot::channel();
        (PatientStream::new(stream, patience, closed), open)
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_given_up() {
        let (client, server) = tokio::io::duplex(16);
        let (mut server, _open) = patient(server, PATIENCE);
        let begin = Instant::now();
        let error = server.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!((error.kind(), begin.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_is_served_while_the_connection_may_last() {
        let (mut client, server) = tokio::io::duplex(16);
        let (mut server, _open) = patient(server, PATIENCE);
        let reading = tokio::spawn(async move {
            let mut all = 0;
            loop {
                tokio::time::sleep(STALL / 2).await;
                match client.read(&mut [0; 16]).await.unwrap() {
                    0 => return all,
                    some => all += some,
                }
            }
        });
        server.write_all(&[0; 100]).await.unwrap();
        let begin = Instant::now();
        assert!(timeout(LIFE, server.write_all(&[0; 10_000])).await.unwrap().is_err());
        assert!(begin.elapsed() > LIFE / 2);
        drop(server);
        assert!(reading.await.unwrap() > 500);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_has_a_time_to_be_taken_in_however_slowly_it_is() {
        let (mut client, server) = tokio::io::duplex(16);
        let patience = Patience {
            whole: true,
            life: None,
            ..PATIENCE
        };
        let (mut server, _open) = patient(server, patience);
        tokio::spawn(async move {
            while client.read(&mut [0; 4]).await.is_ok_and(|some| some > 0) {
                tokio::time::sleep(STALL / 10).await;
            }
        });
        let begin = Instant::now();
        server.write_all(&[0; 32]).await.unwrap();
        assert!(begin.elapsed() < STALL);
        let begin = Instant::now();
        let error = server.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begin.elapsed() < STALL * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_to_go_goes_at_once() {
        let (_client, server) = tokio::io::duplex(16);
        let (mut server, open) = patient(server, PATIENCE);
        let begin = Instant::now();
        let reading = tokio::spawn(async move { server.read(&mut [0; 1]).await });
        drop(open);
        let error = reading.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        assert!(begin.elapsed() < STALL);
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_given_up_in_the_end() {
        let (_client, server) = tokio::io::duplex(16);
        let (mut server, _open) = patient(server, PATIENCE);
        let heard = timeout(LIFE * 2, server.read(&mut [0; 1])).await.unwrap();
        assert_eq!(heard.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
