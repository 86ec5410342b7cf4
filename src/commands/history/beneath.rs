//! Opens only regular files beneath a directory.
//!
//! A link may not lead outside. The open itself enforces this (openat2 with RESOLVE_BENEATH, or step by step on an
//! older kernel). A separate check of the path would be open to a race.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use cap_std::ambient_authority;
use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt as _};
use tokio::io::{AsyncRead, AsyncSeek, ReadBuf};
use tower_http::services::fs::{Backend, File};

type Boxed<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// The regular files beneath a directory. Each open looks up the directory again, since it may appear later.
#[derive(Clone, Debug)]
pub(crate) struct Beneath(Arc<PathBuf>);

impl Beneath {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self(Arc::new(dir))
    }

    async fn regular(self, path: PathBuf) -> io::Result<Regular> {
        let opening = tokio::task::spawn_blocking(move || {
            let dir = Dir::open_ambient_dir(&*self.0, ambient_authority())?;
            let mut options = OpenOptions::new();
            // Without this, opening a pipe blocks until a writer appears.
            options.read(true).custom_flags(libc::O_NONBLOCK);
            let file = dir.open_with(path, &options)?.into_std();
            let regular = file.metadata()?.is_file();
            regular
                .then_some(file)
                .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        });
        match opening.await.map_err(io::Error::other)? {
            Ok(file) => Ok(Regular(tokio::fs::File::from_std(file))),
            // Too many open files, or a disk failure.
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::EIO)) => Err(error),
            // Everything else is 404 for a client: a directory, a link that leads outside, an invalid name.
            Err(_) => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

impl Backend for Beneath {
    type File = Regular;
    type Metadata = std::fs::Metadata;
    type OpenFuture = Boxed<'static, Regular>;
    type MetadataFuture = Boxed<'static, std::fs::Metadata>;

    fn open(&self, path: PathBuf) -> Self::OpenFuture {
        Box::pin(self.clone().regular(path))
    }

    fn metadata(&self, path: PathBuf) -> Self::MetadataFuture {
        let this = self.clone();
        Box::pin(async move { this.regular(path).await?.metadata().await })
    }
}

#[derive(Debug)]
pub(crate) struct Regular(tokio::fs::File);

impl File for Regular {
    type Metadata = std::fs::Metadata;
    type MetadataFuture<'a> = Boxed<'a, std::fs::Metadata>;

    fn metadata(&self) -> Self::MetadataFuture<'_> {
        Box::pin(self.0.metadata())
    }
}

impl AsyncRead for Regular {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncSeek for Regular {
    fn start_seek(mut self: Pin<&mut Self>, position: io::SeekFrom) -> io::Result<()> {
        Pin::new(&mut self.0).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<u64>> {
        Pin::new(&mut self.0).poll_complete(context)
    }
}
