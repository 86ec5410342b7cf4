//! A stream that fails when a write takes too long, when its lifetime ends, or when the connection limit closes it.
//!
//! hyper limits the time for reading a request, but not for writing an answer. A client that reads nothing would hold
//! its connection for ever.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::oneshot;
use tokio::time::Sleep;

/// Time limits of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// Longest time of a write.
    pub write: Duration,
    /// Whether `write` limits the whole buffer of a write, and not the wait until the client takes part of it.
    pub whole_write: bool,
    /// Lifetime of a connection; `None` sets no limit.
    pub lifetime: Option<Duration>,
}

/// A stream with [`Timeouts`].
#[derive(Debug)]
pub struct TimeoutStream<S> {
    inner: S,
    timeouts: Timeouts,
    /// Completes when the connection limit closes this connection.
    closed: Option<oneshot::Receiver<()>>,
    /// Runs while a write waits for the client.
    write_timer: Option<Pin<Box<Sleep>>>,
    /// Runs from the start of the connection.
    lifetime: Option<Pin<Box<Sleep>>>,
}

impl<S> TimeoutStream<S> {
    /// A stream that fails once `closed` completes or a timeout expires.
    pub(crate) fn new(inner: S, timeouts: Timeouts, closed: oneshot::Receiver<()>) -> Self {
        Self {
            inner,
            timeouts,
            closed: Some(closed),
            write_timer: None,
            lifetime: timeouts.lifetime.map(|lifetime| Box::pin(tokio::time::sleep(lifetime))),
        }
    }

    /// Fails once the stream must end; otherwise registers this task to be woken at that time.
    fn check_open(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        let open = self.closed.as_mut();
        if open.is_none_or(|closed| Pin::new(closed).poll(context).is_ready()) {
            self.closed = None;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let ended = self
            .lifetime
            .as_mut()
            .is_some_and(|lifetime| lifetime.as_mut().poll(context).is_ready());
        if ended {
            Err(io::ErrorKind::TimedOut.into())
        } else {
            Ok(())
        }
    }

    /// Applies the write timeout to the outcome of a write of `asked` bytes.
    fn check_write(
        &mut self,
        context: &mut Context<'_>,
        asked: usize,
        outcome: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let is_done = match &outcome {
            Poll::Ready(Ok(written)) => *written >= asked || !self.timeouts.whole_write,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if is_done {
            self.write_timer = None;
            return outcome;
        }
        let write = self.timeouts.write;
        let write_timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(write)));
        if write_timer.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        outcome
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimeoutStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_open(context)?;
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimeoutStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check_open(context)?;
        let outcome = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.check_write(context, bytes.len(), outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check_open(context)?;
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        let asked = parts.iter().map(|part| part.len()).sum();
        self.check_write(context, asked, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // A socket has nothing to flush, so this needs no timeout.
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

    const WRITE: Duration = Duration::from_secs(30);
    const LIFETIME: Duration = Duration::from_secs(600);
    const LIMITS: Timeouts = Timeouts {
        write: WRITE,
        whole_write: false,
        lifetime: Some(LIFETIME),
    };

    fn limited<S>(stream: S, timeouts: Timeouts) -> (TimeoutStream<S>, oneshot::Sender<()>) {
        let (open, closed) = oneshot::channel();
        (TimeoutStream::new(stream, timeouts, closed), open)
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_nothing_is_given_up() {
        let (client, server) = tokio::io::duplex(16);
        let (mut server, _open) = limited(server, LIMITS);
        let begin = Instant::now();
        let error = server.write_all(&[0; 100]).await.unwrap_err();
        assert_eq!((error.kind(), begin.elapsed().as_secs()), (io::ErrorKind::TimedOut, 30));
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_is_served_while_the_connection_may_last() {
        let (mut client, server) = tokio::io::duplex(16);
        let (mut server, _open) = limited(server, LIMITS);
        let reading = tokio::spawn(async move {
            let mut all = 0;
            loop {
                tokio::time::sleep(WRITE / 2).await;
                match client.read(&mut [0; 16]).await.unwrap() {
                    0 => return all,
                    some => all += some,
                }
            }
        });
        server.write_all(&[0; 100]).await.unwrap();
        let begin = Instant::now();
        assert!(
            timeout(LIFETIME, server.write_all(&[0; 10_000]))
                .await
                .unwrap()
                .is_err()
        );
        assert!(begin.elapsed() > LIFETIME / 2);
        drop(server);
        assert!(reading.await.unwrap() > 500);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_has_a_time_to_be_taken_in_however_slowly_it_is() {
        let (mut client, server) = tokio::io::duplex(16);
        let timeouts = Timeouts {
            whole_write: true,
            lifetime: None,
            ..LIMITS
        };
        let (mut server, _open) = limited(server, timeouts);
        tokio::spawn(async move {
            while client.read(&mut [0; 4]).await.is_ok_and(|some| some > 0) {
                tokio::time::sleep(WRITE / 10).await;
            }
        });
        let begin = Instant::now();
        server.write_all(&[0; 32]).await.unwrap();
        assert!(begin.elapsed() < WRITE);
        let begin = Instant::now();
        let error = server.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(begin.elapsed() < WRITE * 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_to_go_goes_at_once() {
        let (_client, server) = tokio::io::duplex(16);
        let (mut server, open) = limited(server, LIMITS);
        let begin = Instant::now();
        let reading = tokio::spawn(async move { server.read(&mut [0; 1]).await });
        drop(open);
        let error = reading.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        assert!(begin.elapsed() < WRITE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_nothing_is_given_up_in_the_end() {
        let (_client, server) = tokio::io::duplex(16);
        let (mut server, _open) = limited(server, LIMITS);
        let heard = timeout(LIFETIME * 2, server.read(&mut [0; 1])).await.unwrap();
        assert_eq!(heard.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}
